//! SQL backends against real databases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the parts shared by tests fail a test as a test does, and say aloud when they skip it"
)]

mod attacks;
mod caps;
mod collisions;
mod definitions;
mod odd;
mod patterns;
mod postgres;
mod proofs;
mod sqlite;
mod support;
mod types;
mod unreachable;
