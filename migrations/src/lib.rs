//! The numbered SQL migrations of the stores, embedded. The numbers mean the same on both engines.
//!
//! A migration that has landed never changes; a later one expands first and contracts one release after. The crate
//! runs nothing by itself.

use sqlx::migrate::Migrator;

/// The migrations of the SQLite store.
pub static SQLITE: Migrator = sqlx::migrate!("./sqlite");

/// The migrations of the SQLite store's file for spans.
pub static SQLITE_SPANS: Migrator = sqlx::migrate!("./spans");

/// The migrations of the PostgreSQL store.
pub static POSTGRES: Migrator = sqlx::migrate!("./postgres");

/// The number of the newest migration in `migrator`; 0 when it has none.
pub fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}
