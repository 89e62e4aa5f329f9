//! What an agent remembers, in five bounded layers, and how a request's context is compiled from them.
//!
//! | layer | holds | here |
//! |---|---|---|
//! | ROM | system prompt, tools, bound patterns | [`Rom`] |
//! | kernel | facts put beside a message | [`Fact`], [`beside`] |
//! | L1 | the recent conversation, in whole turns | [`Recent`] |
//! | L2 | summaries of what left L1 | [`Summary`] |
//! | swap | everything | the store |
//!
//! Compiling is a pure function of the layers, the model's window and the room kept for its answer. It never reads the
//! store, and nothing it leaves out is lost: it stays in swap.

mod budget;
mod compile;
mod kernel;
mod recent;
mod rom;

pub use budget::Budgets;
pub use compile::{Compiled, Layers, Summary, TooLong, compile};
pub use kernel::{Fact, beside};
pub use recent::{Kept, PastTurn, Recent};
pub use rom::{Rom, RomTooLarge};
