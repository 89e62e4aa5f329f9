//! The one way in which a turn commits.

use futures::future::join_all;
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, ensure, follow, journal, message, open_session, refused, reload, same, start, text, turn_id,
};
use crate::{Advance, Error, Page, Stores};

pub(super) async fn the_same_append_succeeds_once(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let first = accept(&session, 1, "hello")?;
    stores.turns.advance(first.clone()).await.map_err(text)?;
    let mut second = follow(&session, 1, 1);
    second.messages = vec![message(1001, 1, "again")];
    second.spent = super::fixture::spent(5, 7);
    // Twice before its reply, once after, and the first long after it was followed.
    let both = join_all([stores.turns.advance(second.clone()), stores.turns.advance(second.clone())]).await;
    same(
        "twice at once",
        &both.into_iter().filter_map(Result::err).map(text).collect::<Vec<_>>(),
        &Vec::new(),
    )?;
    stores.turns.advance(second).await.map_err(text)?;
    stores.turns.advance(first).await.map_err(text)?;
    same("events", &journal(&stores, 1).await?.events.len(), &2)?;
    let session = reload(&stores, &session).await?;
    same("messages", &session.next_message, &2)?;
    same("tokens", &session.totals.usage.input, &5)
}

pub(super) async fn a_stale_append_conflicts(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    stores.turns.advance(follow(&session, 1, 1)).await.map_err(text)?;
    let before = (journal(&stores, 1).await?, reload(&stores, &session).await?);
    let other = |seq| Advance { append_id: Uuid::from_u128(9), ..follow(&session, 1, seq) };
    for seq in [1, 3, 100] {
        refused!(stores.turns.advance(other(seq)).await, Error::Conflict { .. })?;
    }
    let again = Advance { append_id: Uuid::from_u128(9), ..accept(&session, 1, "hello")? };
    refused!(stores.turns.advance(again).await, Error::Conflict { .. })?;
    same("all", &(journal(&stores, 1).await?, reload(&stores, &session).await?), &before)
}

pub(super) async fn a_stale_epoch_is_fenced(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let stale = |step: Advance| Advance { epoch: session.epoch.wrapping_sub(1), ..step };
    refused!(stores.turns.advance(stale(accept(&session, 1, "hello")?)).await, Error::Fenced { .. })?;
    same("an accept", &stores.turns.journal(turn_id(1)).await.map_err(text)?, &None)?;
    start(&stores, &session, 1, "hello").await?;
    refused!(stores.turns.advance(stale(follow(&session, 1, 1))).await, Error::Fenced { .. })?;
    // What was written before the epoch ended is written, whoever asks.
    stores.turns.advance(stale(accept(&session, 1, "hello")?)).await.map_err(text)?;
    same("events", &journal(&stores, 1).await?.events.len(), &1)
}

pub(super) async fn what_is_not_there_is_missing(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let other = open_session(&stores, "other").await?;
    start(&stores, &session, 1, "hello").await?;
    refused!(stores.turns.advance(follow(&session, 2, 0)).await, Error::Missing { .. })?;
    refused!(stores.turns.advance(follow(&other, 1, 1)).await, Error::Missing { .. })?;
    let empty = Advance { events: Vec::new(), ..follow(&session, 1, 1) };
    refused!(stores.turns.advance(empty).await, Error::Missing { .. })?;
    stores.sessions.delete(&other.id).await.map_err(text)?;
    refused!(stores.turns.advance(accept(&other, 3, "hello")?).await, Error::Missing { .. })?;
    same("the journal of no turn", &stores.turns.journal(turn_id(3)).await.map_err(text)?, &None)
}

pub(super) async fn a_message_out_of_place_conflicts(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    for seqs in [vec![0], vec![2], vec![1, 3], vec![2, 1]] {
        let mut step = follow(&session, 1, 1);
        step.messages = seqs.iter().zip(1001..).map(|(seq, id)| message(id, *seq, "odd")).collect();
        refused!(stores.turns.advance(step).await, Error::Conflict { .. })?;
    }
    let mut step = follow(&session, 1, 1);
    step.messages = vec![message(1001, 1, "even"), message(1002, 2, "even")];
    stores.turns.advance(step).await.map_err(text)?;
    same("places", &reload(&stores, &session).await?.next_message, &3)
}

pub(super) async fn one_of_many_concurrent_appends_wins(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let rival = |number: u128| {
        let mut step = follow(&session, 1, 1);
        step.append_id = Uuid::from_u128(5000 + number);
        step.messages = vec![message(5000 + number, 1, "mine")];
        stores.turns.advance(step)
    };
    let outcomes = join_all((0..20).map(rival)).await;
    let won: Vec<_> = (0_u128..).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
    same("winners", &won.len(), &1)?;
    for outcome in outcomes.iter().filter(|outcome| outcome.is_err()) {
        refused!(outcome, Error::Conflict { .. })?;
    }
    let stored = stores.messages.list(&session.id, Page::new(1, 10)).await.map_err(text)?;
    let stored: Vec<_> = stored.items.iter().map(|record| record.message.id.as_uuid().as_u128()).collect();
    same("the winner's message", &stored, &won.iter().map(|(number, _)| 5000 + number).collect::<Vec<_>>())
}

pub(super) async fn a_stale_append_fails_alone(stores: Stores) -> Outcome {
    let mut sessions = Vec::new();
    for number in 1..=100 {
        let session = open_session(&stores, &format!("s-{number}")).await?;
        sessions.push((number, session));
    }
    let (_, first) = sessions.first().ok_or("no session")?;
    start(&stores, first, 1000, "hello").await?;
    let stale = Advance { append_id: Uuid::from_u128(1), ..accept(first, 1000, "stale")? };
    let mut receipts = Vec::new();
    for (number, session) in sessions.iter().skip(1) {
        receipts.push(stores.turns.advance(accept(session, *number, "hello")?));
        if *number == 50 {
            receipts.push(stores.turns.advance(stale.clone()));
        }
    }
    let outcomes = join_all(receipts).await;
    let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    ensure(matches!(&*failed, [Error::Conflict { .. }]), || {
        format!("the stale one alone fails: {failed:?}")
    })?;
    for (number, session) in sessions.iter().skip(1) {
        same("messages", &reload(&stores, session).await?.next_message, &1)?;
        same("events", &journal(&stores, *number).await?.events.len(), &1)?;
    }
    Ok(())
}

pub(super) async fn queued_steps_commit_in_order(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let mut receipts = vec![stores.turns.advance(accept(&session, 1, "hello")?)];
    for seq in 1..40_u32 {
        let mut step = follow(&session, 1, seq);
        step.messages = vec![message(2000 + u128::from(seq), u64::from(seq), "next")];
        receipts.push(stores.turns.advance(step));
    }
    // A step that follows one that failed fails too, and the one after that again.
    receipts.push(stores.turns.advance(follow(&session, 1, 41)));
    receipts.push(stores.turns.advance(follow(&session, 1, 42)));
    receipts.push(stores.turns.advance(follow(&session, 1, 40)));
    let failed: Vec<_> = join_all(receipts).await.iter().map(Result::is_err).collect();
    let expected: Vec<_> = (0..43).map(|index| index == 40 || index == 41).collect();
    same("failures", &failed, &expected)?;
    same("events", &journal(&stores, 1).await?.events.len(), &41)?;
    same("messages", &reload(&stores, &session).await?.next_message, &40)
}

pub(super) async fn an_id_that_is_taken_fails_alone(stores: Stores) -> Outcome {
    let (one, two) = (open_session(&stores, "one").await?, open_session(&stores, "two").await?);
    start(&stores, &one, 1, "hello").await?;
    let mut thief = accept(&two, 2, "mine")?;
    thief.messages = vec![message(1000, 0, "an id of the other session")];
    let third = open_session(&stores, "third").await?;
    let receipts = [stores.turns.advance(thief), stores.turns.advance(accept(&third, 3, "hello")?)];
    let outcomes = join_all(receipts).await;
    let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    same("failures", &failed, &vec![true, false])?;
    same("nothing of it", &reload(&stores, &two).await?, &two)?;
    same("the other", &journal(&stores, 3).await?.events.len(), &1)
}
