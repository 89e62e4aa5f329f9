//! The command line against a server that really listens.

#![expect(clippy::unwrap_used, reason = "the parts shared by tests fail a test as a test does")]

mod asking;
mod chatting;
mod commands;
mod manual;
mod people;
mod retelling;
#[path = "../../../grpc/tests/it/server.rs"]
mod server;
mod setup;
