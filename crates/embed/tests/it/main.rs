//! Whole Looms in this process: turns over a real store, bad models, restarts, two servers side by side, the example.

#![expect(clippy::unwrap_used, reason = "the parts shared by tests fail a test as a test does")]

mod agent_files;
mod bad_models;
mod budgets;
mod commits;
mod conversations;
mod example;
mod faults;
mod forks;
mod hooks;
mod leases;
mod queue;
mod recovery;
#[cfg(feature = "server")]
mod servers;
mod setup;
mod turns;
mod waiting;
