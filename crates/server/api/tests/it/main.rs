//! The API over real sockets, with a fake service behind it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod connections;
mod doors;
mod errors;
mod grpc;
mod limits;
mod metrics;
mod openapi;
mod service;
mod setup;
mod stalls;
mod streams;
mod transcoding;
