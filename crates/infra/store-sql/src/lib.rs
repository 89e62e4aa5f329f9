//! What the stores on SQL databases share: one task that writes in groups, and how rows are read back.
//!
//! The writer commits together whatever was queued while the last commit was in flight, and answers each caller after its
//! own commit. What differs between databases is an [`Engine`]: how to connect, begin, and write the rows of steps, and
//! what a driver's error means. The crate opens no database by itself and holds no statement of its own.

mod engine;
mod failure;
mod index;
pub mod records;
mod row;
pub mod text;
mod writer;

pub use engine::{Engine, Patience};
pub use failure::{Failure, Setback, closed, silent};
pub use index::follow_messages;
pub use row::{Columns, Row, Value};
pub use writer::{Queue, Touched, Write, Writer};
