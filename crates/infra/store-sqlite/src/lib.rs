//! Stores everything in one SQLite database of a data directory that no one else uses.
//!
//! One task writes: it commits together whatever was queued while the last commit was in flight, and answers each
//! caller after its own commit. Reads have their own connections. Nothing is acknowledged before it is on disk, spans
//! aside, which have a file of their own and may be lost.

mod agents;
mod budgets;
mod connect;
mod directory;
mod error;
mod fork;
mod health;
mod hints;
mod keys;
mod leases;
mod mark;
mod messages;
mod recovery;
mod restore;
mod search;
mod sessions;
mod spans;
mod store;
mod transfer;
mod turns;
mod upkeep;
mod waiting;
mod words;
mod writer;

pub use restore::{Restored, restore};
pub use store::{Options, SqliteStore};
