//! Stores on schemas of their own, and steps to write to them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use loom_agent::{Event, EventKind, RULES_VERSION, Spent, TurnConfig};
use loom_base::{Digest, MessageId, NanoUsd, Secret, Timestamp, TraceId, TurnId};
use loom_llm::{ContentBlock, Role};
use loom_store::{Advance, NewMessage, NewSession, NewTurn, SessionRecord, Stores};
use loom_store_postgres::{Options, PostgresStore};
use loom_testkit::ManualClock;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

/// A schema that only one test uses.
#[derive(Clone)]
pub(crate) struct Home {
    server: String,
    pub(crate) schema: String,
}

impl Home {
    /// The URL of the schema on the server, or on what listens at `address` and passes it on.
    pub(crate) fn url_at(&self, address: Option<&str>) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        let own = format!("{mark}options[search_path]={0}&application_name={0}", self.schema);
        let url = format!("{}{own}", self.server);
        let Some(address) = address else { return url };
        let (before, rest) = url.split_once("://").expect("it is a URL");
        let (authority, rest) = rest.split_once('/').expect("it names a database");
        let user = authority.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
        format!("{before}://{user}{address}/{rest}&sslmode=disable")
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.server.split_once("://").expect("it is a URL");
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
        if address.contains(':') { address.to_owned() } else { format!("{address}:5432") }
    }

    pub(crate) fn options(&self) -> Options {
        let url = Secret::new(self.url_at(None));
        let options = Options::new(url, Arc::new(ManualClock::default()));
        Options { lock_wait: Duration::from_millis(200), ..options }
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.expect("the store opens")
    }

    /// A connection of another program to the same schema.
    pub(crate) async fn stranger(&self) -> PgConnection {
        let url = self.url_at(None).replace("application_name=", "application_name=stranger_");
        PgConnection::connect(&url).await.expect("the server answers")
    }

    /// Returns once this many connections of stores wait for a lock.
    pub(crate) async fn until_waiting(&self, stranger: &mut PgConnection, count: i64) {
        let waiting = "
            SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
        loop {
            // Within a transaction, the server's view of its sessions would stand still.
            let now: i64 = sqlx::query_scalar(waiting)
                .bind(&self.schema)
                .fetch_one(&mut *stranger)
                .await
                .expect("the server answers");
            if now == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Runs `test` on a schema of its own; or says that it is skipped, when there is no server to test with.
pub(crate) async fn at_home<F, T>(test: F)
where
    F: FnOnce(Home) -> T,
    T: Future<Output = ()>,
{
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let Some(server) = postgres_url() else { return };
    let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
    let schema = format!("loom_store_{}_{number}", std::process::id());
    let home = Home { server, schema };
    let mut admin = home.stranger().await;
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", home.schema);
    let make = format!("{drop}; CREATE SCHEMA {}", home.schema);
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await.expect("the server lets us");
    let outcome = AssertUnwindSafe(test(home)).catch_unwind().await;
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.expect("the schema goes");
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test runner says by the environment where PostgreSQL is")]
fn postgres_url() -> Option<String> {
    let url = std::env::var("LOOM_TEST_POSTGRES_URL").ok();
    if url.is_none() {
        println!("skipped: LOOM_TEST_POSTGRES_URL is not set");
        let all = std::env::var("LOOM_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!all, "LOOM_TEST_REQUIRE_ALL is set and LOOM_TEST_POSTGRES_URL is not");
    }
    url
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
