//! The client against a server that really listens.

#![expect(clippy::unwrap_used, reason = "the parts shared by tests fail a test as a test does")]

mod calls;
mod server;
mod turns;
