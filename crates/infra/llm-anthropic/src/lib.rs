//! Speaks Anthropic's Messages API: Loom's requests become its JSON, its event stream becomes Loom's chunks.
//!
//! It never retries, never waits past the caller's deadline, and never puts a key or a body in an error. Thinking is
//! not asked for; thinking that comes anyway is kept with its signature and sent back.

mod error;
mod events;
mod provider;
mod request;

pub use provider::{Anthropic, DEFAULT_BASE_URL};
