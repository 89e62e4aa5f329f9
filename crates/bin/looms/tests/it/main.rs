//! The real binary as its users meet it: child processes, real sockets, real files.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod asking;
mod budgets;
mod command_line;
mod damage;
mod doors;
#[cfg(not(feature = "failpoints"))]
mod fail_points;
mod forwarding;
mod home;
mod hooks;
mod http;
mod limits;
mod observability;
mod outages;
mod patterns;
mod providers;
mod public_client;
mod quickstart;
mod reloading;
mod replaying;
mod request_fields;
mod restarts;
mod resuming;
mod rolling;
mod rpcs;
#[allow(dead_code, reason = "the tests of the hooks use all of it")]
#[path = "../../../../infra/hooks/tests/it/service.rs"]
mod service;
mod serving;
mod sharing;
mod shop;
mod store;
mod streaming;
mod transfers;
