//! Stores on directories of their own, and steps to write to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loom_agent::{Event, EventKind, RULES_VERSION, Spent, TurnConfig};
use loom_base::{Digest, MessageId, NanoUsd, Timestamp, TraceId, TurnId};
use loom_llm::{ContentBlock, Role};
use loom_store::{Advance, NewMessage, NewSession, NewTurn, SessionRecord, Stores};
use loom_store_sqlite::{Options, SqliteStore};
use loom_testkit::ManualClock;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// A place for one data directory; gone when dropped.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("the temporary folder can be written"))
    }

    /// The data directory; not there until a store is opened.
    pub(crate) fn directory(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub(crate) fn options(&self) -> Options {
        let options = Options::new(self.directory(), Arc::new(ManualClock::default()));
        Options { lock_wait: Duration::from_millis(50), ..options }
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).await.expect("the store opens")
    }

    /// A connection of another program to the same database.
    pub(crate) async fn stranger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.directory().join("loom.db"));
        options.connect().await.expect("the database opens")
    }
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000) + Duration::from_secs(seconds)
}

pub(crate) async fn open_session(stores: &Stores, name: &str) -> SessionRecord {
    let new = NewSession {
        id: name.parse().expect("the name is an id"),
        agent: "agent".parse().expect("the name is an id"),
        name: String::new(),
        backend: String::new(),
        principal: "local".to_owned(),
        metadata: std::collections::BTreeMap::new(),
        created_at: at(0),
    };
    stores.sessions.create(new).await.expect("the session is new")
}

pub(crate) const fn turn_id(number: u128) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(number))
}

/// The step that accepts turn `number` of a new session with a message that says `said`.
pub(crate) fn accept(session: &SessionRecord, number: u128, said: &str) -> Advance {
    let turn = turn_id(number);
    let message = MessageId::from_uuid(Uuid::from_u128(number * 1000));
    Advance {
        session: session.id.clone(),
        epoch: session.epoch,
        turn,
        expected_seq: 0,
        append_id: Uuid::from_u128(number * 1000),
        events: vec![Event::new(at(1), EventKind::UserMessage { message })],
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
        end: None,
        context_start: None,
        at: at(1),
    }
}

/// A step of turn `number` that follows `expected_seq` events and adds one.
pub(crate) fn follow(session: &SessionRecord, number: u128, expected_seq: u32) -> Advance {
    Advance {
        expected_seq,
        append_id: Uuid::from_u128(number * 1000 + u128::from(expected_seq)),
        events: vec![Event::new(at(2), EventKind::TimerFired { effect: 1 })],
        accept: None,
        messages: Vec::new(),
        ..accept(session, number, "")
    }
}
