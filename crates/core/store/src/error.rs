//! How a store fails.

use loom_base::ErrorCode;

/// A failed store operation. Nothing of it was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database does not answer or cannot write.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What the driver said, without connection strings.
        reason: String,
    },
    /// Someone else wrote first.
    #[error("{what} was changed by another writer")]
    Conflict {
        /// The thing, by kind and id.
        what: String,
    },
    /// The writer no longer owns the session.
    #[error("session {session} is owned by a later epoch")]
    Fenced {
        /// The session.
        session: String,
    },
    /// The thing to create is there already.
    #[error("{what} exists already")]
    Exists {
        /// The thing, by kind and id.
        what: String,
    },
    /// The thing to change is not there.
    #[error("{what} does not exist")]
    Missing {
        /// The thing, by kind and id.
        what: String,
    },
    /// A stored row does not decode.
    #[error("{what} does not decode: {reason}")]
    Corrupt {
        /// The row, by table and id.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database belongs to another program.
    #[error(
        "{database} is a database of another program; Loom keeps what it remembers in one of its own: choose \
             another `db_path`, and attach this one as a backend to ask it"
    )]
    Foreign {
        /// The database.
        database: String,
    },
    /// The database was written by a newer Loom.
    #[error("the store is at version {found}, this binary knows versions up to {known}; use a newer binary")]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// This kind of store does not do that.
    #[error("{what} is not done on this store: {instead}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What to use instead.
        instead: String,
    },
    /// The store to fill is not empty.
    #[error("the store is not empty: {table} has {rows} rows; import into a new one")]
    NotEmpty {
        /// A table that has rows.
        table: String,
        /// How many.
        rows: u64,
    },
    /// A server uses the store that nobody else may use now.
    #[error("{count} servers use the store; stop them first")]
    InUse {
        /// How many.
        count: u64,
    },
    /// Another process uses the data directory.
    #[error("{directory} is in use by {holder}; stop it, or choose another data directory")]
    Locked {
        /// The data directory.
        directory: String,
        /// Who holds it: a process id and when it started.
        holder: String,
    },
}

impl Error {
    /// The stable code users see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::StoreUnavailable,
            Self::Conflict { .. } | Self::Exists { .. } | Self::Missing { .. } => ErrorCode::StoreConflict,
            Self::Fenced { .. } => ErrorCode::SessionElsewhere,
            Self::Corrupt { .. } => ErrorCode::StoreCorrupt,
            Self::Foreign { .. } => ErrorCode::StoreForeign,
            Self::TooNew { .. } => ErrorCode::StoreTooNew,
            Self::Unsupported { .. } => ErrorCode::StoreUnsupported,
            Self::NotEmpty { .. } => ErrorCode::StoreNotEmpty,
            Self::InUse { .. } | Self::Locked { .. } => ErrorCode::DataDirLocked,
        }
    }
}
