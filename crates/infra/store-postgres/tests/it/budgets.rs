//! Several instances that use one budget.

use std::time::Duration;

use loom_agent::{Amounts, Ceiling, Measure, Period, Reserved};
use loom_base::{InstanceId, NanoUsd, Timestamp};
use loom_store::{Advance, Borrow, BudgetKey, Stores};
use uuid::Uuid;

use crate::support::{accept, at_home, open_session};

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);
/// What each turn holds back.
const TURN: u64 = 100;
const LIMIT: u64 = 1_000;

fn key() -> BudgetKey {
    BudgetKey { agent: None, window: Period::Total.window(Timestamp::default()) }
}

/// Begins turns for as long as there is room; returns how many.
async fn use_up(stores: Stores, number: u128) -> u64 {
    let instance = InstanceId::from_uuid(Uuid::from_u128(number));
    stores.leases.join(instance, "", LONG).await.expect("the store answers");
    let (mut turns, mut left) = (0, 0);
    loop {
        if left < TURN {
            let limit = Ceiling([Some(LIMIT), None, None, None]);
            let borrow = Borrow { key: key(), instance, limit, least: Amounts([TURN, 0, 0, 0]) };
            left = stores.budgets.borrow(borrow).await.expect("the store answers").room.of(Measure::Cost);
            if left < TURN {
                return turns;
            }
        }
        left -= TURN;
        turns += 1;
        let id = number * 1_000 + u128::from(turns);
        let session = open_session(&stores, &format!("s-{id}")).await;
        let cost = NanoUsd::from_nanos(TURN.cast_signed());
        let reserved = Some(Reserved { cost, ..Reserved::default() });
        let step = Advance { reserved, ..accept(&session, id, "hello") };
        stores.turns.advance(step).await.expect("nobody else has it");
    }
}

#[tokio::test]
async fn instances_that_use_one_budget_at_once_never_exceed_it() {
    at_home(|home| async move {
        let (one, other) = (home.open().await, home.open().await);
        let (first, second) = tokio::join!(use_up(one.stores(), 1), use_up(other.stores(), 2));
        let usage = one.stores().budgets.usage(&key()).await.expect("the store answers");
        assert_eq!(usage.reserved.of(Measure::Cost), (first + second) * TURN);
        // What each has borrowed and cannot use any more is less than a turn.
        assert!((LIMIT / TURN - 2..=LIMIT / TURN).contains(&(first + second)), "{first} and {second}");
        let third = use_up(one.stores(), 3).await;
        assert!(first + second + third <= LIMIT / TURN);
        one.close().await;
        other.close().await;
    })
    .await;
}
