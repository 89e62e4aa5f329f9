//! Stores everything in one PostgreSQL database that several Looms may share.
//!
//! In each process one task writes: it commits together whatever was queued while the last commit was in flight, and
//! answers each caller after its own commit. Reads have their own connections. Processes meet at the rows of sessions: a
//! transaction locks those it writes to, in the order of their ids, before it looks at what is stored. Nothing is
//! acknowledged before the server has it on disk, spans aside, which may be lost.
//!
//! A lost connection is opened anew. What was not yet on its way to be committed is written again on the new one; a
//! commit whose reply was lost is [`Unavailable`](loom_store::Error::Unavailable), and the same append sent again finds
//! out what became of it.

mod agents;
mod budgets;
mod connect;
mod error;
mod fork;
mod health;
mod hints;
mod keys;
mod leases;
mod messages;
mod recovery;
mod schema;
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

pub use store::{Options, PostgresStore};
