//! What budgets count, and the room they lend.

use std::time::Duration;

use loom_agent::{Amounts, Ceiling, Measure, Period, Reserved};
use loom_base::{AgentId, InstanceId, NanoUsd};
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, agent_id, at, ensure, finished, follow, message_id, open_session, reload, same, spent, text,
    turn_id,
};
use crate::{Advance, Borrow, BudgetKey, BudgetUsage, CutOff, Stores};

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);
const A_DAY: u64 = 86_400;

fn day(agent: Option<AgentId>, seconds: u64) -> BudgetKey {
    BudgetKey { agent, window: Period::Day.window(at(seconds)) }
}

fn reserved() -> Reserved {
    Reserved { input: 10, output: 20, cost: NanoUsd::from_nanos(30), tool_calls: 4, time: 500 }
}

async fn usage(stores: &Stores, key: &BudgetKey) -> Result<BudgetUsage, String> {
    stores.budgets.usage(key).await.map_err(text)
}

pub(super) async fn what_turns_use_is_counted_and_outlives_them(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let (mine, all) = (day(Some(agent_id("a")?), 1), day(None, 1));
    same("nothing", &usage(&stores, &mine).await?, &BudgetUsage::default())?;
    let begun = Advance { reserved: Some(reserved()), ..accept(&session, 1, "hello")? };
    stores.turns.advance(begun).await.map_err(text)?;
    let held = |times: u64| BudgetUsage {
        reserved: Amounts([30 * times, 30 * times, 4, 500]),
        ..BudgetUsage::default()
    };
    same("held back", &usage(&stores, &mine).await?, &held(1))?;
    let turn = stores
        .turns
        .recover(&session.id, session.epoch, turn_id(1), CutOff::MadeAgain)
        .await
        .map_err(text)?;
    same("what a turn holds back", &turn.reserved, &Some(reserved()))?;
    same("what may be used twice", &usage(&stores, &mine).await?, &held(2))?;
    let turn =
        stores.turns.recover(&session.id, session.epoch, turn_id(1), CutOff::Settled).await.map_err(text)?;
    same("counts", &(turn.recoveries, turn.stalled), &(2, 1))?;
    same("what is not made again", &usage(&stores, &mine).await?, &held(2))?;

    let step = Advance { spent: spent(10, 100), ..follow(&session, 1, 1) };
    stores.turns.advance(step).await.map_err(text)?;
    let used = BudgetUsage {
        used: Amounts([100, 37, 2, 70]),
        reserved: Amounts::default(),
        estimated_tokens: 10,
        estimated_cost: NanoUsd::from_nanos(50),
    };
    same("used", &usage(&stores, &mine).await?, &used)?;
    let last =
        Advance { spent: spent(10, 100), end: Some(finished(message_id(1))), ..follow(&session, 1, 2) };
    stores.turns.advance(last.clone()).await.map_err(text)?;
    stores.turns.advance(last).await.map_err(text)?;
    same("used by a turn that has ended", &usage(&stores, &mine).await?, &used)?;

    // One that begins and ends in one batch, and one of another day.
    let now = reload(&stores, &session).await?;
    let second =
        Advance { spent: spent(1, 1), end: Some(finished(message_id(2))), ..accept(&now, 2, "more")? };
    stores.turns.advance(second).await.map_err(text)?;
    let now = reload(&stores, &session).await?;
    let mut third = Advance { spent: spent(2, 2), ..accept(&now, 3, "later")? };
    if let Some(new) = &mut third.accept {
        new.accepted_at = at(A_DAY);
    }
    stores.turns.advance(third).await.map_err(text)?;
    same("of a day", &usage(&stores, &all).await?.used, &Amounts([101, 47, 4, 77]))?;
    same("of the next", &usage(&stores, &day(None, A_DAY)).await?.used, &Amounts([2, 13, 2, 14]))?;
    let ever = BudgetKey { agent: None, window: Period::Total.window(at(0)) };
    same("of all days", &usage(&stores, &ever).await?.used, &Amounts([103, 60, 6, 91]))?;
    let other = day(Some(agent_id("b")?), 1);
    same("of another agent", &usage(&stores, &other).await?, &BudgetUsage::default())?;

    stores.sessions.delete(&session.id).await.map_err(text)?;
    same("after its session", &usage(&stores, &all).await?.used, &Amounts([101, 47, 4, 77]))
}

fn instance(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

pub(super) async fn room_is_lent_once(stores: Stores) -> Outcome {
    for number in [1, 2] {
        stores.leases.join(instance(number), "127.0.0.1:60051", LONG).await.map_err(text)?;
    }
    let session = open_session(&stores, "s").await?;
    let key = day(Some(agent_id("a")?), 1);
    let limit = Ceiling([Some(1_000), None, None, Some(70)]);
    let borrow = async |number, cost| {
        let (key, least) = (key.clone(), Amounts([cost, 0, 0, 0]));
        let borrow = Borrow { key, instance: instance(number), limit, least };
        stores.budgets.borrow(borrow).await.map_err(text)
    };
    let first = borrow(1, 900).await?;
    let cost = first.room.of(Measure::Cost);
    ensure((900..=1_000).contains(&cost), || format!("of 1000, 900 were asked for and {cost} lent"))?;
    same("what is not bounded is not lent", &first.room.of(Measure::Tokens), &0)?;
    if !first.is_all {
        let second = borrow(2, 900).await?.room.of(Measure::Cost);
        ensure(second <= 1_000 - cost, || format!("{cost} and {second} of 1000 are lent"))?;
        stores.budgets.give_back(&key, instance(1)).await.map_err(text)?;
        same("once given back", &borrow(2, 900).await?.room.of(Measure::Cost), &900)?;
        stores.leases.release(instance(2)).await.map_err(text)?;
        same("once it left", &borrow(1, 900).await?.room.of(Measure::Cost), &900)?;
    }
    let mut begun = accept(&session, 1, "hello")?;
    (begun.spent, begun.reserved) = (spent(10, 100), Some(reserved()));
    stores.turns.advance(begun).await.map_err(text)?;
    let rest = borrow(1, 2_000).await?.room;
    same("what is neither used nor held back", &(rest.of(Measure::Cost), rest.of(Measure::Time)), &(870, 0))
}
