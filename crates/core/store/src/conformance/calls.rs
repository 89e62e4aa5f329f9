//! Tool calls.

use futures::future::join_all;
use loom_agent::CallOutcome;
use loom_base::CallId;
use loom_llm::{ContentBlock, Role};
use loom_tools::EffectClass;
use serde_json::{Map, json};

use super::Outcome;
use super::fixture::{
    accept, at, follow, journal, message, message_id, open_session, reload, same, start, text,
};
use crate::{Advance, CallChange, CallStart, NewMessage, SessionRecord, Stores, ToolCallRecord};

/// What a model may name a call; the shortest is empty.
const NAMES: [&str; 4] = ["call_1", "", "wéird \"name\" \\", "a\0b"];

fn asked(answer: u128, call: &str, tool: &str) -> CallChange {
    CallChange::Asked {
        message: message_id(answer),
        call: CallId::new(call),
        tool: tool.to_owned(),
        arguments: json!({ "sql": "SELECT '\0'", "limit": 5, "ratio": 0.1, "none": null }),
        class: EffectClass::Idempotent,
    }
}

fn settled(answer: u128, call: &str, outcome: CallOutcome) -> CallChange {
    CallChange::Settled {
        message: message_id(answer),
        call: CallId::new(call),
        outcome,
        result: "{\"rows\": [1, \"\0\"]}\n".to_owned(),
        facts: Map::from_iter([("query".to_owned(), json!("SELECT 1")), ("rows".to_owned(), json!(1))]),
        at: at(4),
    }
}

/// The step in which the model answers with calls of these names.
fn answer(session: &SessionRecord, turn: u128, calls: &[&str]) -> Advance {
    let id = turn * 1000 + 1;
    let said = NewMessage { role: Role::Assistant, ..message(id, session.next_message + 1, "let me see") };
    let mut step = follow(session, turn, 1);
    step.messages = vec![NewMessage { content: vec![ContentBlock::text("let me see")], ..said }];
    step.calls = calls.iter().map(|call| asked(id, call, "query")).collect();
    step
}

pub(super) async fn a_call_is_asked_started_and_settled(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    stores.turns.advance(answer(&session, 1, &NAMES)).await.map_err(text)?;
    let mut record = ToolCallRecord {
        message: message_id(1001),
        call: CallId::new(NAMES[0]),
        tool: "query".to_owned(),
        arguments: json!({ "sql": "SELECT '\0'", "limit": 5, "ratio": 0.1, "none": null }),
        class: EffectClass::Idempotent,
        start: None,
        outcome: None,
        result: None,
        facts: Map::new(),
        ended_at: None,
        resolution: None,
    };
    let calls = journal(&stores, 1).await?.calls;
    same("the first", &calls.first(), &Some(&record))?;
    let names: Vec<_> = calls.iter().map(|call| call.call.as_str().to_owned()).collect();
    same("all, in the order asked", &names, &NAMES.map(ToOwned::to_owned).to_vec())?;

    // Run again under a new effect, then settled: the last of each counts, also within one step.
    let started = |effect| {
        let start = CallStart { effect, at: at(3) };
        CallChange::Started { message: message_id(1001), call: CallId::new(NAMES[0]), start }
    };
    let step = Advance { calls: vec![started(2), started(5)], ..follow(&session, 1, 2) };
    stores.turns.advance(step).await.map_err(text)?;
    record.start = Some(CallStart { effect: 5, at: at(3) });
    same("started", &journal(&stores, 1).await?.calls.first(), &Some(&record))?;
    let step = Advance {
        calls: vec![
            settled(1001, NAMES[0], CallOutcome::Succeeded),
            settled(1001, NAMES[2], CallOutcome::Denied),
        ],
        ..follow(&session, 1, 3)
    };
    stores.turns.advance(step).await.map_err(text)?;
    record.outcome = Some(CallOutcome::Succeeded);
    record.result = Some("{\"rows\": [1, \"\0\"]}\n".to_owned());
    record.facts = Map::from_iter([("query".to_owned(), json!("SELECT 1")), ("rows".to_owned(), json!(1))]);
    record.ended_at = Some(at(4));
    let calls = journal(&stores, 1).await?.calls;
    same("settled", &calls.first(), &Some(&record))?;
    let outcomes: Vec<_> = calls.iter().map(|call| call.outcome).collect();
    let expected = vec![Some(CallOutcome::Succeeded), None, Some(CallOutcome::Denied), None];
    same("outcomes", &outcomes, &expected)
}

pub(super) async fn calls_are_told_by_answer(stores: Stores) -> Outcome {
    let (one, two) = (open_session(&stores, "one").await?, open_session(&stores, "two").await?);
    for (session, turn) in [(&one, 1), (&two, 2)] {
        start(&stores, session, turn, "hello").await?;
        let mut step = answer(session, turn, &["c"]);
        // Asked and settled in one step.
        step.calls.push(settled(turn * 1000 + 1, "c", CallOutcome::Failed));
        stores.turns.advance(step).await.map_err(text)?;
    }
    let both = [message_id(1001), message_id(2001), message_id(3)];
    let found = stores.turns.calls_of(&one.id, &both).await.map_err(text)?;
    let found: Vec<_> = found.into_iter().map(|call| (call.message, call.outcome)).collect();
    same("calls", &found, &vec![(message_id(1001), Some(CallOutcome::Failed))])?;
    same("of no answer", &stores.turns.calls_of(&one.id, &[]).await.map_err(text)?, &Vec::new())
}

pub(super) async fn a_change_of_an_unknown_call_fails_alone(stores: Stores) -> Outcome {
    let (one, two) = (open_session(&stores, "one").await?, open_session(&stores, "two").await?);
    start(&stores, &one, 1, "hello").await?;
    let wrong = Advance { calls: vec![settled(1000, "nobody", CallOutcome::Failed)], ..follow(&one, 1, 1) };
    let receipts = [stores.turns.advance(wrong), stores.turns.advance(accept(&two, 2, "hello")?)];
    let failed: Vec<_> = join_all(receipts).await.iter().map(Result::is_err).collect();
    same("failures", &failed, &vec![true, false])?;
    same("events", &journal(&stores, 1).await?.events.len(), &1)?;
    same("the other", &reload(&stores, &two).await?.next_message, &1)
}
