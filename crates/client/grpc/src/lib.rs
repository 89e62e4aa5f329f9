//! Calls a Loom server over gRPC: one method for each RPC, typed errors, and a turn as a stream of events.
//!
//! It never waits for ever on a server that is not there, never repeats a call on its own, and never reads the
//! environment. TLS is not in this version, as it is not in the server.

mod address;
mod client;
mod error;
mod stream;

pub use client::{CALL_TIMEOUT, CONNECT_TIMEOUT, Client};
pub use error::Error;
pub use stream::TurnStream;
