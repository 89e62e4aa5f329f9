//! The invariants of the turn machine, on random lives of random turns, and a few lives written out.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the parts shared by tests fail a test as a test does"
)]

mod budgets;
mod hooks;
mod lives;
mod properties;
mod world;
