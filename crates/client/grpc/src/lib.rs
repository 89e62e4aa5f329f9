//! Calls a Loom server over gRPC: one method for each RPC, typed errors, and a turn as a stream of events.
//!
//! It never waits for ever on a server that is not there, and never reads the environment. It never repeats a call on its
//! own, with two exceptions that change nothing: a turn whose stream broke is found again by its id, and a question under
//! a [`RequestKey`] is asked again, which the server knows by the key. TLS is not in this version, as it is not in the
//! server.

mod address;
mod client;
mod error;
mod key;
mod pauses;
mod stream;

pub use client::{CALL_TIMEOUT, CONNECT_TIMEOUT, Client, STORE_TIMEOUT};
pub use error::Error;
pub use key::RequestKey;
pub use loom_proto::v1;
pub use stream::TurnStream;
