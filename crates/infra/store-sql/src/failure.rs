//! Why something was not written.

use loom_store::Error;

/// What stops a write, as whoever writes it says.
#[derive(Debug)]
pub enum Failure {
    /// It contradicts what is stored.
    Refused(Error),
    /// The driver failed; the [`Engine`](crate::Engine) says what that means.
    Driver(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

/// Why a transaction did not happen. A database that never sees one of these never says it.
#[derive(Debug)]
pub enum Setback {
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

impl Setback {
    /// What the caller is told.
    pub fn into_error(self) -> Error {
        match self {
            Self::Refused(error)
            | Self::Contended(error)
            | Self::Blocked(error)
            | Self::Lost(error)
            | Self::Broken(error) => error,
        }
    }

    /// The setback of what may have been a commit: when the connection went with it, nobody knows what was stored.
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

/// The server has said nothing for too long.
pub fn silent() -> Error {
    Error::Unavailable { reason: "the server does not answer in time".to_owned() }
}

/// The writer is gone.
pub fn closed() -> Error {
    Error::Unavailable { reason: "the store is closed".to_owned() }
}
