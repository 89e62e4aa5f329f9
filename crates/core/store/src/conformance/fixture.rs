//! What the cases are made of: records with counted ids, and comparisons that say what differs.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use loom_agent::{Event, EventKind, Outcome as TurnOutcome, RULES_VERSION, Spent, TurnConfig};
use loom_base::{AgentId, Digest, MessageId, NanoUsd, SessionId, Timestamp, TraceId, TurnId};
use loom_llm::{ContentBlock, FinishReason, Role, Usage};
use uuid::Uuid;

use super::Outcome;
use crate::{
    Advance, EndNotes, Error, Journal, NewMessage, NewSession, NewTurn, Queueing, SessionRecord, Stores,
    TurnEnd,
};

/// A moment, `seconds` after a fixed one.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_001) + Duration::from_secs(seconds)
}

pub(super) fn session_id(name: &str) -> Result<SessionId, String> {
    name.parse().map_err(|error| format!("{error}"))
}

pub(super) fn agent_id(name: &str) -> Result<AgentId, String> {
    name.parse().map_err(|error| format!("{error}"))
}

pub(super) fn turn_id(number: u128) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(number))
}

pub(super) fn message_id(number: u128) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(number))
}

/// A new session of agent `a`.
pub(super) fn new_session(name: &str) -> Result<NewSession, String> {
    Ok(NewSession {
        id: session_id(name)?,
        agent: agent_id("a")?,
        name: "Ünïcode \"name\"".to_owned(),
        backend: "shop".to_owned(),
        principal: "local".to_owned(),
        metadata: BTreeMap::from([("kéy".to_owned(), "a\0b\n'\"".to_owned())]),
        when_busy: Some(crate::WhenBusy::Reject),
        created_at: at(0),
    })
}

/// Creates a session of agent `a`.
pub(super) async fn open_session(stores: &Stores, name: &str) -> Result<SessionRecord, String> {
    stores.sessions.create(new_session(name)?).await.map_err(text)
}

/// A user's message with place `seq`; its id is `number`.
pub(super) fn message(number: u128, seq: u64, said: &str) -> NewMessage {
    NewMessage {
        id: message_id(number),
        seq,
        role: Role::User,
        content: vec![ContentBlock::text(said)],
        beside: Vec::new(),
        tokens: 10,
        cost: NanoUsd::ZERO,
        created_at: at(seq),
    }
}

pub(super) fn new_turn(turn: TurnId) -> Result<NewTurn, String> {
    Ok(NewTurn {
        agent: agent_id("a")?,
        agent_version: 3,
        rules_version: RULES_VERSION,
        config: TurnConfig::default(),
        rom: Digest::of("rom"),
        patterns: Digest::of("patterns"),
        provider: "mock".to_owned(),
        model: "m-1".to_owned(),
        trace: TraceId::of_turn(turn),
        parent_span: None,
        pattern: None,
        accepted_at: at(1),
    })
}

/// The step that accepts turn `number` of `session` with a message that says `said`. Ids are made of the number.
pub(super) fn accept(session: &SessionRecord, number: u128, said: &str) -> Result<Advance, String> {
    let turn = turn_id(number);
    let opening = message(number * 1000, session.next_message, said);
    Ok(Advance {
        session: session.id.clone(),
        epoch: session.epoch,
        turn,
        expected_seq: 0,
        append_id: Uuid::from_u128(number * 1000),
        events: vec![Event::new(at(1), EventKind::UserMessage { message: opening.id })],
        accept: Some(new_turn(turn)?),
        queueing: Queueing::None,
        key: None,
        messages: vec![opening],
        calls: Vec::new(),
        spent: Spent::default(),
        reserved: None,
        end: None,
        context_start: None,
        at: at(1),
    })
}

/// A step of turn `number` that follows `expected_seq` events and adds one.
pub(super) fn follow(session: &SessionRecord, number: u128, expected_seq: u32) -> Advance {
    Advance {
        session: session.id.clone(),
        epoch: session.epoch,
        turn: turn_id(number),
        expected_seq,
        append_id: Uuid::from_u128(number * 1000 + u128::from(expected_seq)),
        events: vec![Event::new(at(2), EventKind::TimerFired { effect: 1 })],
        accept: None,
        queueing: Queueing::None,
        key: None,
        messages: Vec::new(),
        calls: Vec::new(),
        spent: Spent::default(),
        reserved: None,
        end: None,
        context_start: None,
        at: at(2),
    }
}

/// How a turn ends well, with `message` as the answer.
pub(super) fn finished(message: MessageId) -> TurnEnd {
    TurnEnd {
        outcome: TurnOutcome::Finished { message, finish: FinishReason::Stop },
        ended_at: at(9),
        notes: EndNotes::default(),
    }
}

pub(super) fn spent(input: u64, cost: i64) -> Spent {
    Spent {
        usage: Usage { input, output: 2 * input, cache_read: 3, cache_write: 4 },
        cost: NanoUsd::from_nanos(cost),
        model_calls: 1,
        tool_calls: 2,
        estimated_tokens: input,
        estimated_cost: NanoUsd::from_nanos(cost / 2),
        worked: Duration::from_micros(input * 7),
    }
}

/// Stores the accept step of turn `number`.
pub(super) async fn start(stores: &Stores, session: &SessionRecord, number: u128, said: &str) -> Outcome {
    stores.turns.advance(accept(session, number, said)?).await.map_err(text)
}

/// The session as it is stored now.
pub(super) async fn reload(stores: &Stores, session: &SessionRecord) -> Result<SessionRecord, String> {
    stores
        .sessions
        .get(&session.id)
        .await
        .map_err(text)?
        .ok_or_else(|| format!("session {} is gone", session.id))
}

/// The journal of turn `number`.
pub(super) async fn journal(stores: &Stores, number: u128) -> Result<Journal, String> {
    let found = stores.turns.journal(turn_id(number)).await.map_err(text)?;
    found.ok_or_else(|| format!("turn {number} is gone"))
}

#[expect(clippy::needless_pass_by_value, reason = "handed to `map_err`")]
pub(super) fn text(error: Error) -> String {
    error.to_string()
}

/// Nothing, unless the two differ.
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

/// Nothing, unless `holds` is false.
pub(super) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

/// Nothing, unless the result is not this kind of error.
macro_rules! refused {
    ($result:expr, $kind:pat) => {
        match $result {
            Err($kind) => Ok(()),
            other => Err(format!("found {:?}, expected {}", other, stringify!($kind))),
        }
    };
}
pub(super) use refused;
