//! Where sessions, turns and messages are kept.

use std::time::Duration;

use crate::SecretRef;
use crate::choice::choice;
use crate::key::{range, section};

choice! {
    /// A kind of store.
    StorageBackend {
        /// One file, `db_path`, for one server.
        Sqlite = "sqlite",
        /// One PostgreSQL database, for one server or several.
        Postgres = "postgres" also "postgresql",
    }
}

section! {
    /// Where sessions, turns and messages are kept.
    Storage at "storage." {
        /// The kind of store: `sqlite` is the file `db_path`, `postgres` the database at `storage.dsn`, which several
        /// servers may share.
        backend: StorageBackend = StorageBackend::Sqlite, aliases ["database.driver"], example "postgres";
        /// Where the address of the PostgreSQL database is, `postgres://user:password@host:port/database`: `${NAME}` of a
        /// variable. The variable `NAME_FILE`, when set, names a file that holds the address instead. Read only when
        /// `storage.backend` is `postgres`.
        dsn: SecretRef = SecretRef::known("DATABASE_URL"), aliases ["database.dsn"], example "${TEAM_DATABASE}";
        /// How long a server that shares a PostgreSQL database may be silent before the others take its sessions, in
        /// seconds, from 2 to 3600. It says three times as often that it is there. A SQLite store has one server, and no
        /// such time.
        lease_seconds: u64 = 10, check range(2, 3_600), example "30";
    }
}

impl Storage {
    /// How long an instance may be silent.
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}
