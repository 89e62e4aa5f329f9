//! Moving all that a store holds to another store, of the same kind or not.
//!
//! Rows move table by table, in terms that every database has: whole numbers, texts and nothing. So a new column moves
//! without anything being written for it, and a new table with one line here.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A table whose rows move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that order its rows; together they are different in each.
    pub key: &'static [&'static str],
    /// Columns that do not move.
    pub left_out: &'static [&'static str],
}

const fn table(name: &'static str, key: &'static [&'static str], left_out: &'static [&'static str]) -> Table {
    Table { name, key, left_out }
}

/// All tables that move, those that others refer to first. Who works on a session stays behind, and so does an index of
/// words, which is made anew.
pub const TABLES: &[Table] = &[
    table("agents", &["id"], &[]),
    table("agent_versions", &["agent_id", "version"], &[]),
    table("sessions", &["id"], &["owner"]),
    table("turns", &["id"], &[]),
    table("turn_events", &["turn_id", "seq"], &[]),
    table("messages", &["number"], &["words"]),
    table("tool_calls", &["id"], &[]),
    table("observations", &["id"], &[]),
    table("memory_state", &["id"], &[]),
    table("idempotency_keys", &["principal", "method", "key"], &[]),
    // What turns that are gone used.
    table("spending", &["agent_id", "day", "writer"], &[]),
];

/// Tables that stay behind: what a database knows of itself, of those who use it and of what it has lent them, and inner
/// spans, which may be lost.
pub const LEFT_BEHIND: &[&str] = &["meta", "instances", "loans", "budgets", "spans"];

/// What stands in a column of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing.
    Nothing,
    /// A whole number; of a truth value, 0 or 1.
    Number(i64),
    /// A text; of JSON, as it was written.
    Text(String),
}

/// A row's cells, in the order of its table's columns.
pub type Cells = Vec<Cell>;

/// Reads all tables as they are at one moment, however long that takes.
#[async_trait]
pub trait TableReader: Send {
    /// The columns of a table that move, by their names.
    async fn columns(&mut self, table: &'static Table) -> Result<Vec<String>, Error>;

    /// Rows of a table by its key, `limit` of those after the row `after`.
    async fn rows(
        &mut self,
        table: &'static Table,
        after: Option<&Cells>,
        limit: u32,
    ) -> Result<Vec<Cells>, Error>;
}

/// Fills an empty store, in one transaction: dropping it leaves the store empty.
#[async_trait]
pub trait TableWriter: TableReader {
    /// Adds rows to a table, of which each has a cell for each column.
    async fn put(&mut self, table: &'static Table, rows: Vec<Cells>) -> Result<(), Error>;

    /// Makes all of it durable.
    async fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// Moves all that a store holds.
#[async_trait]
pub trait TransferStore: Send + Sync {
    /// Reads all of it.
    async fn dump(&self) -> Result<Box<dyn TableReader>, Error>;

    /// Fills it. [`Error::NotEmpty`] when there is anything in it, [`Error::InUse`] while a server uses it.
    async fn fill(&self) -> Result<Box<dyn TableWriter>, Error>;

    /// Brings the schema up to date, as opening does.
    async fn migrate(&self) -> Result<Migrated, Error>;
}

/// What became of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The number of the newest migration that was applied when the store was opened; 0 for a new store.
    pub before: i64,
    /// The number of the newest that is applied now.
    pub after: i64,
}
