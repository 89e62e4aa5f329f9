//! Where sessions, turns and messages are kept.

use crate::choice::choice;
use crate::key::section;

choice! {
    /// A kind of store.
    StorageBackend {
        /// One file, `db_path`.
        Sqlite = "sqlite",
    }
    later "postgres" "postgresql"
}

section! {
    /// Where sessions, turns and messages are kept.
    Storage at "storage." {
        /// The kind of store. The file is `db_path`.
        backend: StorageBackend = StorageBackend::Sqlite, aliases ["database.driver"], example "sqlite";
    }
}
