//! What the driver's errors mean.

use loom_store::Error;
pub(crate) use loom_store_sql::Failure;
use loom_store_sql::Setback;

/// SQLite's primary result codes for statements that fail by what is in them, not by the state of the database.
mod code {
    /// A function does not take its argument, such as JSON that is nested too deeply.
    pub(super) const ERROR: i32 = 1;
    pub(super) const CORRUPT: i32 = 11;
    /// A value that is too large for a row.
    pub(super) const TOO_BIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    /// A value of the wrong type.
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// What `error` means for what was being written.
pub(crate) fn setback(error: &sqlx::Error) -> Setback {
    use sqlx::error::ErrorKind;
    let Some(database) = error.as_database_error() else { return Setback::Broken(unavailable(error)) };
    let message = database.message();
    match (database.kind(), primary_code(database)) {
        (ErrorKind::UniqueViolation, _) => {
            let columns = message.strip_prefix("UNIQUE constraint failed: ").unwrap_or(message);
            Setback::Refused(Error::Exists { what: format!("a row with this {columns}") })
        }
        (ErrorKind::ForeignKeyViolation, _) => {
            Setback::Refused(Error::Missing { what: "something this write refers to".to_owned() })
        }
        (_, Some(code::ERROR | code::TOO_BIG | code::CONSTRAINT | code::MISMATCH)) => {
            Setback::Refused(unavailable(error))
        }
        _ => Setback::Broken(unavailable(error)),
    }
}

/// The low byte of the extended code, which is what the driver gives.
fn primary_code(error: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

/// The database does not answer, or is damaged.
pub(crate) fn unavailable(error: &sqlx::Error) -> Error {
    let reason = error.to_string();
    match error.as_database_error().and_then(primary_code) {
        Some(code::CORRUPT | code::NOT_A_DATABASE) => {
            Error::Corrupt { what: "the database file".to_owned(), reason }
        }
        _ => Error::Unavailable { reason },
    }
}
