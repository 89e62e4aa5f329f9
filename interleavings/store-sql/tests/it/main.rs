//! The writer that groups commits, under a scheduler that decides at every lock, send and await who goes on: the promises of
//! [`loom_store_sql::Queue`] in each of the orders it comes to. What fails prints its schedule, which shuttle can replay.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "an integration test is a test module as a whole"
)]

mod disk;
mod load;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use load::{Beside, Load, run};

/// Orders that are tried of each load, by each of two ways to choose.
const ORDERS: usize = 300;
/// Where choices begin: the same orders each time.
const SEED: u64 = 7;
/// Changes of mind of the scheduler that looks for rare orders.
const DEPTH: usize = 3;

fn in_every_order(load: Load) {
    let mut config = Config::new();
    // A future of a whole batch is large.
    config.stack_size = 0x0010_0000;
    Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS), config.clone()).run(move || run(load));
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, ORDERS), config).run(move || run(load));
}

#[test]
fn who_is_told_that_a_step_is_durable_finds_it_on_disk() {
    in_every_order(&[]);
}

#[test]
fn a_stale_step_fails_its_caller_and_nobody_else() {
    in_every_order(&[Beside::Stale]);
}

#[test]
fn a_step_that_is_sent_again_after_a_lost_reply_is_written_once() {
    in_every_order(&[Beside::Faults]);
}

#[test]
fn what_another_program_changes_is_seen_before_the_next_step_is_written() {
    in_every_order(&[Beside::Stranger, Beside::Stale]);
}

#[test]
fn everyone_is_answered_when_the_store_closes_and_goes_on_when_it_opens_again() {
    in_every_order(&[Beside::Closing, Beside::Faults]);
}
