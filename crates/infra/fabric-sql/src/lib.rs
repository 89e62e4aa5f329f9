//! Lets agents question SQLite and PostgreSQL databases.
//!
//! It never changes data: three walls stand between a query and the database, and each holds alone (see
//! [`SqlBackend`]). It never keeps an engine busy for a caller that has gone, and never shows a connection string.

mod backend;
mod bounds;
mod create;
mod defined;
mod failure;
mod options;
mod pool;
mod postgres;
mod rows;
mod shared;
mod sqlite;
mod walls;

#[cfg(test)]
mod tests;

pub use backend::{PostgresBackend, SqlBackend, SqliteBackend};
pub use create::create_sqlite;
pub use options::SqlOptions;
pub use shared::{SharedPools, SqlSource};
