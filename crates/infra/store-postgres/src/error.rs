//! What the driver's errors mean.

use loom_store::Error;
use loom_store_sql::Setback;
pub(crate) use loom_store_sql::{Failure, closed, silent};
use sqlx::error::{DatabaseError, ErrorKind};

/// Classes and codes of PostgreSQL's errors (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
mod code {
    /// Someone else changed what the transaction has read, or each waits for the other.
    pub(super) const CONTENDED: [&str; 2] = ["40001", "40P01"];
    /// A lock was not had in time.
    pub(super) const BLOCKED: [&str; 1] = ["55P03"];
    /// The connection or the server ends, or the server has become one that cannot write; or a statement was prepared
    /// before the schema changed.
    pub(super) const LOST: [&str; 7] = ["08", "57P01", "57P02", "57P03", "25006", "25P03", "0A000"];
    /// Statements that fail by what is in them: values that no column takes, that are too many or too large, that a
    /// constraint forbids, that trip over the server's own limits, that work for too long.
    pub(super) const REFUSED: [&str; 7] = ["21", "22", "23", "53200", "54", "57014", "XX"];
}

/// What `error` means for what was being written.
pub(crate) fn setback(error: &sqlx::Error) -> Setback {
    let unavailable = unavailable(error);
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::Encode(_) => Setback::Refused(unavailable),
            _ => Setback::Lost(unavailable),
        };
    };
    let found = database.code().unwrap_or_default();
    let is_one_of = |codes: &[&str]| codes.iter().any(|code| found.starts_with(code));
    match database.kind() {
        ErrorKind::UniqueViolation => Setback::Refused(Error::Exists { what: taken(database) }),
        ErrorKind::ForeignKeyViolation => {
            Setback::Refused(Error::Missing { what: "something this write refers to".to_owned() })
        }
        _ if is_one_of(&code::CONTENDED) => Setback::Contended(unavailable),
        _ if is_one_of(&code::BLOCKED) => Setback::Blocked(unavailable),
        _ if is_one_of(&code::LOST) => Setback::Lost(unavailable),
        _ if is_one_of(&code::REFUSED) => Setback::Refused(unavailable),
        _ => Setback::Broken(unavailable),
    }
}

fn taken(error: &dyn DatabaseError) -> String {
    let table = error.table().unwrap_or("its table");
    format!("a row of {table} with this {}", error.constraint().unwrap_or("key"))
}

/// The database does not answer. What the server and the operating system said is kept; what else the driver says of a
/// connection may show how it was made, and is not.
pub(crate) fn unavailable(error: &sqlx::Error) -> Error {
    let reason = match error {
        sqlx::Error::Database(reported) => reported.message().to_owned(),
        sqlx::Error::Io(io) => format!("the connection failed: {io}"),
        sqlx::Error::Tls(_) => "the encrypted connection could not be set up".to_owned(),
        sqlx::Error::PoolTimedOut => {
            "no connection in time: the server does not answer or all connections are busy".to_owned()
        }
        sqlx::Error::PoolClosed => return closed(),
        sqlx::Error::Protocol(_) => "the server does not speak the expected protocol".to_owned(),
        sqlx::Error::Configuration(_) => "the connection's settings cannot be used".to_owned(),
        other => other.to_string(),
    };
    Error::Unavailable { reason }
}
