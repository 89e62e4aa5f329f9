//! A failed call before the backend's name is put to it.

use loom_fabric::BackendErrorKind;

/// What went wrong; never holds a connection string or a parameter's value.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure it was.
    pub(crate) kind: BackendErrorKind,
    /// What was wrong and what would be right.
    pub(crate) message: String,
}

impl Failure {
    /// A failure of `kind`.
    pub(crate) fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A wall turned the query away.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(BackendErrorKind::Refused, message)
    }

    /// The source cannot be used at the moment.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(BackendErrorKind::Unavailable, message)
    }

    /// The engine did not accept the query.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(BackendErrorKind::Failed, message)
    }

    /// Translates what is the same for every engine; `database` names the kind of an error that the engine reported.
    pub(crate) fn from_sqlx(
        error: &sqlx::Error,
        database: impl FnOnce(&dyn sqlx::error::DatabaseError) -> BackendErrorKind,
    ) -> Self {
        match error {
            sqlx::Error::Database(reported) => Self::new(database(reported.as_ref()), reported.message()),
            sqlx::Error::Io(io) => Self::unavailable(format!("the connection failed: {}", io.kind())),
            sqlx::Error::Tls(_) => Self::unavailable("the encrypted connection could not be set up"),
            sqlx::Error::PoolTimedOut => Self::unavailable(
                "no connection in time: the server does not answer or all connections are busy",
            ),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::unavailable("the connections are closed")
            }
            sqlx::Error::Protocol(_) => Self::unavailable("the server does not speak the expected protocol"),
            sqlx::Error::Configuration(_) => Self::unavailable("the connection's settings cannot be used"),
            other => Self::failed(other.to_string()),
        }
    }
}
