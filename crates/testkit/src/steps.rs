//! Steps of turns to write to a store.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_agent::{Event, EventKind, RULES_VERSION, Spent, TurnConfig};
use loom_base::{Digest, MessageId, NanoUsd, Timestamp, TraceId, TurnId};
use loom_llm::{ContentBlock, Role};
use loom_store::{Advance, NewMessage, NewSession, NewTurn, Queueing, SessionRecord, Stores};
use uuid::Uuid;

/// A moment, `seconds` after a fixed one.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000) + Duration::from_secs(seconds)
}

/// Creates a session.
pub async fn open_session(stores: &Stores, name: &str) -> anyhow::Result<SessionRecord> {
    let new = NewSession {
        id: name.parse()?,
        agent: "agent".parse()?,
        name: String::new(),
        backend: String::new(),
        principal: "local".to_owned(),
        metadata: BTreeMap::new(),
        when_busy: None,
        created_at: at(0),
    };
    Ok(stores.sessions.create(new).await?)
}

/// The id of turn `number`.
pub const fn turn_id(number: u128) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(number))
}

/// The step that accepts turn `number` of a new session with a message that says `said`.
pub fn accept(session: &SessionRecord, number: u128, said: &str) -> Advance {
    let turn = turn_id(number);
    let message = MessageId::from_uuid(Uuid::from_u128(number * 1000));
    Advance {
        session: session.id.clone(),
        epoch: session.epoch,
        turn,
        expected_seq: 0,
        append_id: Uuid::from_u128(number * 1000),
        events: vec![Event::new(at(1), EventKind::UserMessage { message })],
        key: None,
        queueing: Queueing::None,
        accept: Some(NewTurn {
            agent: session.agent.clone(),
            agent_version: 1,
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
        }),
        messages: vec![NewMessage {
            id: message,
            seq: session.next_message,
            role: Role::User,
            content: vec![ContentBlock::text(said)],
            beside: Vec::new(),
            tokens: 10,
            cost: NanoUsd::ZERO,
            created_at: at(1),
        }],
        calls: Vec::new(),
        spent: Spent::default(),
        reserved: None,
        end: None,
        context_start: None,
        at: at(1),
    }
}

/// A step of turn `number` that follows `expected_seq` events and adds one.
pub fn follow(session: &SessionRecord, number: u128, expected_seq: u32) -> Advance {
    Advance {
        expected_seq,
        append_id: Uuid::from_u128(number * 1000 + u128::from(expected_seq)),
        events: vec![Event::new(at(2), EventKind::TimerFired { effect: 1 })],
        key: None,
        accept: None,
        queueing: Queueing::None,
        messages: Vec::new(),
        ..accept(session, number, "")
    }
}
