//! Turns that wait until their session is free.

use loom_agent::{Event, EventKind, Outcome as TurnOutcome};
use loom_base::Digest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, at, finished, follow, journal, message_id, open_session, refused, reload, same, start, text,
    turn_id,
};
use crate::{
    Advance, Error, IdempotencyKey, Page, Queueing, RequestKey, SessionRecord, Stores, TurnEnd, TurnRecord,
};

fn asked(number: u128) -> Value {
    json!({ "query": format!("é\n{number}"), "deep": [[1.5, null]] })
}

/// The step that puts turn `number` into the queue.
fn wait(session: &SessionRecord, number: u128) -> Result<Advance, String> {
    let mut step = accept(session, number, "")?;
    if let Some(new) = &mut step.accept {
        new.accepted_at = at(10 + u64::try_from(number).unwrap_or(0));
    }
    (step.events, step.messages, step.queueing) = (Vec::new(), Vec::new(), Queueing::Waits(asked(number)));
    step.append_id = Uuid::from_u128(number * 1000 + 500);
    Ok(step)
}

/// The step that begins turn `number`, which waited.
fn begin(session: &SessionRecord, number: u128) -> Result<Advance, String> {
    let mut step = accept(session, number, "hello")?;
    step.queueing = Queueing::Begins;
    if let Some(new) = &mut step.accept {
        (new.agent_version, new.model, new.accepted_at) = (9, "m-9".to_owned(), at(7));
    }
    Ok(step)
}

fn end(session: &SessionRecord, number: u128) -> Advance {
    Advance { end: Some(finished(message_id(number))), ..follow(session, number, 1) }
}

async fn advance(stores: &Stores, step: Advance) -> Outcome {
    stores.turns.advance(step).await.map_err(text)
}

async fn queued(stores: &Stores, session: &SessionRecord) -> Result<Vec<TurnRecord>, String> {
    stores.turns.queued(&session.id).await.map_err(text)
}

fn numbers(turns: &[TurnRecord]) -> Vec<u128> {
    turns.iter().map(|turn| turn.id.as_uuid().as_u128()).collect()
}

pub(super) async fn turns_wait_in_order_and_begin_one_after_the_other(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 9, "first").await?;
    for number in [3, 1, 2] {
        advance(&stores, wait(&session, number)?).await?;
    }
    let waiting = queued(&stores, &session).await?;
    same("what waits", &numbers(&waiting), &vec![1, 2, 3])?;
    same("what was asked", &waiting[0].queued, &Some(asked(1)))?;
    same("its journal", &journal(&stores, 1).await?.events.len(), &0)?;
    same("what runs", &stores.turns.unfinished(&session.id).await.map_err(text)?, &Some(turn_id(9)))?;
    let all = stores.turns.all_unfinished(None, Page::new(0, 0)).await.map_err(text)?;
    let listed: Vec<_> =
        all.items.iter().map(|turn| (turn.turn.as_uuid().as_u128(), turn.is_queued)).collect();
    same("what is not over", &listed, &vec![(9, false), (1, true), (2, true), (3, true)])?;

    advance(&stores, end(&session, 9)).await?;
    same("what runs", &stores.turns.unfinished(&session.id).await.map_err(text)?, &None)?;
    let session = reload(&stores, &session).await?;
    advance(&stores, begin(&session, 1)?).await?;
    same("what runs", &stores.turns.unfinished(&session.id).await.map_err(text)?, &Some(turn_id(1)))?;
    same("what waits", &numbers(&queued(&stores, &session).await?), &vec![2, 3])?;
    let begun = journal(&stores, 1).await?;
    same("it waits no more", &begun.turn.queued, &None)?;
    let accepted = &begun.turn.accepted;
    same("what it runs by", &(accepted.agent_version, accepted.model.as_str()), &(9, "m-9"))?;
    same("when it was accepted", &accepted.accepted_at, &at(7))?;
    same("its journal", &begun.events.len(), &1)?;
    advance(&stores, end(&session, 1)).await?;
    same("turns", &reload(&stores, &session).await?.totals.turns, &2)
}

pub(super) async fn a_turn_that_waits_is_given_up(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 9, "first").await?;
    advance(&stores, wait(&session, 1)?).await?;
    let given_up = Advance {
        append_id: Uuid::from_u128(1_501),
        events: vec![Event::new(at(2), EventKind::CancelRequested)],
        end: Some(TurnEnd { outcome: TurnOutcome::Cancelled, ..finished(message_id(1)) }),
        ..follow(&session, 1, 0)
    };
    advance(&stores, given_up).await?;
    same("what waits", &numbers(&queued(&stores, &session).await?), &Vec::new())?;
    let over = journal(&stores, 1).await?;
    same("it waits no more", &over.turn.queued, &None)?;
    same("its end", &over.turn.end.map(|end| end.outcome), &Some(TurnOutcome::Cancelled))?;
    refused!(stores.turns.advance(begin(&session, 1)?).await, Error::Conflict { .. })?;
    same("what runs", &stores.turns.unfinished(&session.id).await.map_err(text)?, &Some(turn_id(9)))
}

pub(super) async fn a_turn_is_queued_once(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 9, "first").await?;
    let key = RequestKey { principal: "local".to_owned(), method: "Weave".to_owned(), key: "k".to_owned() };
    let keyed = IdempotencyKey { key: key.clone(), digest: Digest::of("request") };
    let step = Advance { key: Some(keyed.clone()), ..wait(&session, 1)? };
    // The reply was lost.
    advance(&stores, step.clone()).await?;
    advance(&stores, step).await?;
    same("what waits", &numbers(&queued(&stores, &session).await?), &vec![1])?;
    let found = stores.turns.of_key(&key).await.map_err(text)?;
    same("the key", &found, &Some((turn_id(1), keyed.digest)))?;
    let again = Advance { key: Some(keyed), ..wait(&session, 2)? };
    refused!(stores.turns.advance(again).await, Error::Exists { .. })?;
    let stale = Advance { epoch: session.epoch + 1, ..wait(&session, 3)? };
    refused!(stores.turns.advance(stale).await, Error::Fenced { .. })?;
    refused!(stores.turns.advance(begin(&session, 4)?).await, Error::Missing { .. })?;
    same("what waits", &numbers(&queued(&stores, &session).await?), &vec![1])
}

pub(super) async fn one_turn_of_a_session_runs_at_a_time(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 9, "first").await?;
    let now = reload(&stores, &session).await?;
    refused!(stores.turns.advance(accept(&now, 1, "second")?).await, Error::Conflict { .. })?;
    advance(&stores, wait(&now, 2)?).await?;
    refused!(stores.turns.advance(begin(&now, 2)?).await, Error::Conflict { .. })?;
    advance(&stores, end(&now, 9)).await?;
    advance(&stores, begin(&now, 2)?).await
}

pub(super) async fn a_turn_is_queued_and_begun_in_one_batch(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let steps = [wait(&session, 1)?, begin(&session, 1)?, end(&session, 1)];
    let receipts = futures::future::join_all(steps.map(|step| stores.turns.advance(step)));
    receipts.await.into_iter().collect::<Result<Vec<_>, _>>().map_err(text)?;
    let over = journal(&stores, 1).await?;
    same("it waits no more", &over.turn.queued, &None)?;
    same("what it ran by", &over.turn.accepted.agent_version, &9)?;
    same("its journal", &over.events.len(), &2)?;
    same("what waits", &numbers(&queued(&stores, &session).await?), &Vec::new())
}
