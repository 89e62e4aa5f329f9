//! The configuration as a binary sees it: files, flags and an environment in, a typed configuration or messages out.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod documents;
mod explained;
mod messages;
mod providers;
mod reference;
mod robustness;
mod secrets;
mod walk;
mod world;
