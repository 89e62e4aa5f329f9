//! Sessions made of the first turns of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom_base::{CallId, IdSource, NanoUsd};
use loom_llm::ContentBlock;
use loom_tools::EffectClass;
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, at, ensure, finished, follow, journal, message, message_id, new_session, open_session, refused,
    reload, same, session_id, spent, start, text, turn_id,
};
use crate::{
    CallChange, CallStart, Error, ForkPoint, MessageRecord, NewFork, NewMessage, NewSession, Origin, Page,
    SearchQuery, SessionRecord, SessionTotals, Stores, WaitingFor,
};

/// Ids far above those of the fixture.
#[derive(Default)]
struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128((1 << 100) + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

fn fork(from: &SessionRecord, at: ForkPoint, name: &str, ids: &Arc<Ids>) -> Result<NewFork, String> {
    let session = NewSession { created_at: super::fixture::at(77), ..new_session(name)? };
    let ids = Arc::<Ids>::clone(ids);
    Ok(NewFork { from: from.id.clone(), at, session, model: Some("m-2".to_owned()), ids })
}

/// A session with two turns that have ended, of two messages each, the second with a call, and one that runs.
async fn three_turns(stores: &Stores) -> Result<SessionRecord, String> {
    let session = open_session(stores, "source").await?;
    for number in 1..=2_u32 {
        let session = reload(stores, &session).await?;
        start(stores, &session, number.into(), &format!("walrus {number}")).await?;
        let answer = message_id(u128::from(number) * 1000 + 1);
        let mut step = follow(&session, number.into(), 1);
        step.messages = vec![NewMessage {
            beside: vec![ContentBlock::text("beside")],
            cost: NanoUsd::from_nanos(5),
            ..message(u128::from(number) * 1000 + 1, session.next_message + 1, "an answer")
        }];
        if number == 2 {
            step.calls = a_call(answer);
        }
        step.spent = spent(7, 11);
        step.end = Some(finished(answer));
        stores.turns.advance(step).await.map_err(text)?;
    }
    start(stores, &reload(stores, &session).await?, 3, "it runs").await?;
    reload(stores, &session).await
}

/// A call that was cut off: it waits for someone to say what became of it.
fn a_call(message: loom_base::MessageId) -> Vec<CallChange> {
    let call = || CallId::new("c");
    let (tool, arguments) = ("pay".to_owned(), serde_json::json!({ "amount": 5 }));
    let start = CallStart { effect: 9, at: at(3) };
    let outcome = loom_agent::CallOutcome::Unknown;
    let (result, facts) = ("nobody knows".to_owned(), serde_json::Map::new());
    vec![
        CallChange::Asked { message, call: call(), tool, arguments, class: EffectClass::Unsafe },
        CallChange::Started { message, call: call(), start },
        CallChange::Settled { message, call: call(), outcome, result, facts, at: at(4) },
    ]
}

async fn messages(stores: &Stores, session: &SessionRecord) -> Result<Vec<MessageRecord>, String> {
    Ok(stores.messages.list(&session.id, Page::new(0, 0)).await.map_err(text)?.items)
}

pub(super) async fn a_fork_holds_the_first_turns_under_new_ids(stores: Stores) -> Outcome {
    let (source, ids) = (three_turns(&stores).await?, Arc::new(Ids::default()));
    for (name, point, count) in [
        ("by-count", ForkPoint::Turns(1), 2),
        ("by-id", ForkPoint::Turn(turn_id(1)), 2),
        ("two", ForkPoint::Turns(2), 4),
    ] {
        let forked = stores.sessions.fork(fork(&source, point, name, &ids)?).await.map_err(text)?;
        same("the stored session", &reload(&stores, &forked).await?, &forked)?;
        let totals = SessionTotals { messages: count, ..SessionTotals::default() };
        same("totals", &forked.totals, &totals)?;
        same("places", &(forked.next_message, forked.context_start), &(count, 0))?;
        same("times", &(forked.created_at, forked.last_active), &(at(77), at(77)))?;
        let (turn, model) = (turn_id(u128::from(count) / 2), Some("m-2".to_owned()));
        let origin = Origin { session: source.id.clone(), turn, messages: count, model };
        same("origin", &forked.origin(), &Some(origin))?;
        same("own notes", &forked.metadata.get("kéy"), &source.metadata.get("kéy"))?;

        let (old, new) = (messages(&stores, &source).await?, messages(&stores, &forked).await?);
        same("messages", &(new.len() as u64), &count)?;
        for (old, new) in old.iter().zip(&new) {
            ensure(old.message.id != new.message.id && old.turn != new.turn, || {
                "an id is used twice".to_owned()
            })?;
            let copy = NewMessage { id: new.message.id, cost: NanoUsd::ZERO, ..old.message.clone() };
            same("a copy", &new.message, &copy)?;
        }
        same("its turns", &(new[0].turn == new[1].turn), &true)?;
        same("its journals", &stores.turns.journal(new[0].turn).await.map_err(text)?, &None)?;
        let of_session = stores.turns.of_session(&forked.id, Page::new(0, 0)).await.map_err(text)?;
        same("turns of its own", &of_session.total, &0)?;
    }
    let two = stores.sessions.get(&session_id("two")?).await.map_err(text)?.ok_or("it is gone")?;
    let copies = messages(&stores, &two).await?;
    let calls = stores.turns.calls_of(&two.id, &[copies[3].message.id]).await.map_err(text)?;
    let expected =
        crate::ToolCallRecord { message: copies[3].message.id, ..journal(&stores, 2).await?.calls.remove(0) };
    same("its calls", &calls, &vec![expected])?;
    let waiting = stores.turns.waiting(WaitingFor::Resolution, None, Page::new(0, 0)).await.map_err(text)?;
    same("what waits, once", &waiting.total, &1)?;
    stores.messages.index_more(100).await.map_err(text)?;
    let query = SearchQuery { text: "walrus 2".to_owned(), session: Some(two.id), limit: 10 };
    same("what is found in it", &stores.messages.search(&query).await.map_err(text)?.len(), &1)
}

pub(super) async fn a_fork_has_no_part_of_a_running_turn(stores: Stores) -> Outcome {
    let (source, ids) = (three_turns(&stores).await?, Arc::new(Ids::default()));
    let latest =
        stores.sessions.fork(fork(&source, ForkPoint::Latest, "latest", &ids)?).await.map_err(text)?;
    same("messages", &latest.next_message, &4)?;
    for (name, point) in [("three", ForkPoint::Turns(3)), ("running", ForkPoint::Turn(turn_id(3)))] {
        refused!(stores.sessions.fork(fork(&source, point, name, &ids)?).await, Error::Missing { .. })?;
    }
    // What happens there later is not seen here, and the other way round.
    same("the source", &reload(&stores, &source).await?, &source)?;
    let mut step = accept(&latest, 4, "here")?;
    step.messages[0].seq = latest.next_message;
    stores.turns.advance(step).await.map_err(text)?;
    same("messages of the source", &messages(&stores, &source).await?.len(), &5)
}

pub(super) async fn a_fork_can_be_forked(stores: Stores) -> Outcome {
    let (source, ids) = (three_turns(&stores).await?, Arc::new(Ids::default()));
    let first = stores.sessions.fork(fork(&source, ForkPoint::Latest, "first", &ids)?).await.map_err(text)?;
    stores.sessions.delete(&source.id).await.map_err(text)?;
    same("messages", &messages(&stores, &first).await?.len(), &4)?;
    let copied = messages(&stores, &first).await?[1].turn;
    let point = ForkPoint::Turn(copied);
    let second = stores.sessions.fork(fork(&first, point, "second", &ids)?).await.map_err(text)?;
    same("messages of the second", &messages(&stores, &second).await?.len(), &2)?;
    let origin = second.origin().ok_or("it has no origin")?;
    same("origin", &(origin.session, origin.turn, origin.messages), &(first.id, copied, 2))
}

pub(super) async fn a_fork_that_cannot_be_made_leaves_nothing(stores: Stores) -> Outcome {
    let (source, ids) = (three_turns(&stores).await?, Arc::new(Ids::default()));
    refused!(
        stores.sessions.fork(fork(&source, ForkPoint::Turns(0), "a", &ids)?).await,
        Error::Missing { .. }
    )?;
    refused!(
        stores.sessions.fork(fork(&source, ForkPoint::Latest, "source", &ids)?).await,
        Error::Exists { .. }
    )?;
    let nobody = SessionRecord { id: session_id("nobody")?, ..source.clone() };
    refused!(
        stores.sessions.fork(fork(&nobody, ForkPoint::Latest, "a", &ids)?).await,
        Error::Missing { .. }
    )?;
    let empty = open_session(&stores, "empty").await?;
    refused!(stores.sessions.fork(fork(&empty, ForkPoint::Latest, "a", &ids)?).await, Error::Missing { .. })?;
    same("what is there", &stores.sessions.get(&session_id("a")?).await.map_err(text)?, &None)
}
