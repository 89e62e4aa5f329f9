//! What the driver's errors mean.

use loom_store::Error;
use sqlx::error::{DatabaseError, ErrorKind};

/// Why a write did not happen.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It contradicts what is stored, or takes too long. The others of its transaction may still succeed without it.
    Refused(Error),
    /// Another transaction was in its way. The same may succeed now.
    Contended(Error),
    /// Another program holds a lock that it needs, and has not given it back in time.
    Blocked(Error),
    /// The connection ended before the commit. Nothing is stored; the same may succeed on another connection.
    Lost(Error),
    /// The database cannot write, or it is not known whether it has.
    Broken(Error),
}

impl Failure {
    /// What the caller is told.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(error)
            | Self::Contended(error)
            | Self::Blocked(error)
            | Self::Lost(error)
            | Self::Broken(error) => error,
        }
    }

    /// The failure of what may have been a commit: when the connection went with it, nobody knows what was stored.
    pub(crate) fn at_commit(self) -> Self {
        match self {
            Self::Lost(Error::Unavailable { reason }) => {
                let reason = format!("{reason}; what was being committed may be stored");
                Self::Broken(Error::Unavailable { reason })
            }
            other => other,
        }
    }
}

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

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            let unavailable = unavailable(&error);
            return match error {
                sqlx::Error::Encode(_) => Self::Refused(unavailable),
                _ => Self::Lost(unavailable),
            };
        };
        let found = database.code().unwrap_or_default();
        let is_one_of = |codes: &[&str]| codes.iter().any(|code| found.starts_with(code));
        match database.kind() {
            ErrorKind::UniqueViolation => Self::Refused(Error::Exists { what: taken(database) }),
            ErrorKind::ForeignKeyViolation => {
                Self::Refused(Error::Missing { what: "something this write refers to".to_owned() })
            }
            _ if is_one_of(&code::CONTENDED) => Self::Contended(unavailable(&error)),
            _ if is_one_of(&code::BLOCKED) => Self::Blocked(unavailable(&error)),
            _ if is_one_of(&code::LOST) => Self::Lost(unavailable(&error)),
            _ if is_one_of(&code::REFUSED) => Self::Refused(unavailable(&error)),
            _ => Self::Broken(unavailable(&error)),
        }
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

/// The server has said nothing for too long.
pub(crate) fn silent() -> Error {
    Error::Unavailable { reason: "the server does not answer in time".to_owned() }
}

/// The writer is gone.
pub(crate) fn closed() -> Error {
    Error::Unavailable { reason: "the store is closed".to_owned() }
}
