//! Connections that end, locks of others, rows that are wrong, names that no column takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use loom_base::{CallId, MessageId, Secret, TraceId};
use loom_llm::ContentBlock;
use loom_store::{Advance, CallChange, Error, Page, SearchQuery, SessionRecord, SpanRecord, Stores};
use loom_store_postgres::{Options, PostgresStore};
use loom_testkit::{Mode, Proxy};
use loom_tools::EffectClass;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::support::{Home, accept, at, at_home, follow, open_session, turn_id};

/// A store whose connections go through a proxy.
async fn behind_proxy(home: &Home) -> (Proxy, PostgresStore) {
    let proxy = Proxy::before(home.address()).await.expect("a port is free");
    let options = Options {
        url: Secret::new(home.url_at(Some(proxy.address()))),
        connect_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(500),
        ..home.options()
    };
    let store = PostgresStore::open(options).await.expect("the store opens");
    (proxy, store)
}

async fn events(stores: &Stores, turn: u128) -> usize {
    let journal = stores.turns.journal(turn_id(turn)).await.expect("the store answers");
    journal.map_or(0, |journal| journal.events.len())
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_unavailable_and_the_same_append_succeeds() {
    at_home(|home| async move {
        let (proxy, store) = behind_proxy(&home).await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        stores.turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
        let step = follow(&session, 1, 1);
        proxy.set(Mode::LoseCommit);
        let outcome = stores.turns.advance(step.clone()).await;
        assert!(
            matches!(&outcome, Err(Error::Unavailable { reason }) if reason.ends_with("may be stored")),
            "{outcome:?}"
        );
        assert_eq!(events(&stores, 1).await, 2, "it was stored");
        stores.turns.advance(step.clone()).await.expect("it is stored already");
        assert_eq!(events(&stores, 1).await, 2, "it is stored once");
        let rival = Advance { append_id: Uuid::from_u128(7), ..step };
        let rival = stores.turns.advance(rival).await;
        assert!(matches!(rival, Err(Error::Conflict { .. })), "{rival:?}");
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_unavailable_and_not_ready_and_ends_without_a_restart() {
    at_home(|home| async move {
        let (proxy, store) = behind_proxy(&home).await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        proxy.set(Mode::Down);
        let step = accept(&session, 1, "hello");
        for _ in 0..2 {
            let outcome = stores.turns.advance(step.clone()).await;
            assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{outcome:?}");
            let read = stores.sessions.get(&session.id).await;
            assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
            let status = stores.health.status().await;
            assert!(matches!(status, Err(Error::Unavailable { .. })), "{status:?}");
        }
        proxy.set(Mode::Pass);
        stores.health.status().await.expect("readiness comes back although nobody wrote meanwhile");
        stores.turns.advance(step).await.expect("it is written");
        assert_eq!(events(&stores, 1).await, 1);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_unavailable_and_keeps_nobody_waiting() {
    at_home(|home| async move {
        let (proxy, store) = behind_proxy(&home).await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        proxy.set(Mode::Silent);
        let step = accept(&session, 1, "hello");
        let written = stores.turns.advance(step.clone()).await;
        assert!(
            matches!(&written, Err(Error::Unavailable { reason }) if reason.contains("in time")),
            "{written:?}"
        );
        assert!(matches!(stores.sessions.get(&session.id).await, Err(Error::Unavailable { .. })));
        assert!(stores.health.status().await.is_err());
        proxy.set(Mode::Pass);
        insist(&stores, step).await;
        assert_eq!(events(&stores, 1).await, 1);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_takes_too_long_fails_alone() {
    at_home(|home| async move {
        let options = Options { statement_timeout: Duration::from_millis(300), ..home.options() };
        let store = PostgresStore::open(options).await.expect("the store opens");
        let stores = store.stores();
        let (slow, fast) = (open_session(&stores, "slow").await, open_session(&stores, "fast").await);
        let dawdle = "
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
            CREATE TRIGGER dawdle BEFORE INSERT ON turns FOR EACH ROW WHEN (NEW.session_id = 'slow')
            EXECUTE FUNCTION dawdle()";
        sqlx::raw_sql(dawdle).execute(&mut home.stranger().await).await.expect("we may");
        let steps = [accept(&slow, 1, "hello"), accept(&fast, 2, "hello")];
        let [on_slow, on_fast] = steps.map(|step| tokio::spawn(stores.turns.advance(step)));
        on_fast.await.expect("no one panics").expect("it is written");
        let outcome = on_slow.await.expect("no one panics");
        assert!(
            matches!(&outcome, Err(Error::Unavailable { reason }) if reason.contains("statement timeout")),
            "{outcome:?}"
        );
        assert_eq!(events(&stores, 1).await, 0);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_were_cut_while_idle_are_opened_anew_and_nobody_notices() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        stores.health.status().await.expect("a reader is connected");
        let mut stranger = home.stranger().await;
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        let cut: i64 =
            sqlx::query_scalar(cut).bind(home.schema()).fetch_one(&mut stranger).await.expect("we may");
        assert!(cut >= 2, "the writer and a reader: {cut}");
        stores.turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
        assert_eq!(events(&stores, 1).await, 1);
        store.close().await;
    })
    .await;
}

/// Sends a step until the store takes it, as one who lost a reply does. Returns how often the store was unavailable.
async fn insist(stores: &Stores, step: Advance) -> usize {
    let mut unavailable = 0;
    loop {
        match stores.turns.advance(step.clone()).await {
            Ok(()) => return unavailable,
            Err(Error::Unavailable { .. }) => unavailable += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn run_turn(stores: Stores, session: SessionRecord, number: u128) -> usize {
    let mut unavailable = insist(&stores, accept(&session, number, "hello")).await;
    for seq in 1..40 {
        let mut step = follow(&session, number, seq);
        let mut said = accept(&session, number, "more").messages;
        for message in &mut said {
            message.id = MessageId::from_uuid(Uuid::from_u128(number * 1000 + u128::from(seq)));
            message.seq = u64::from(seq);
        }
        step.messages = said;
        unavailable += insist(&stores, step).await;
    }
    unavailable
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_random_moments_lose_nothing_and_write_nothing_twice() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let mut sessions = Vec::new();
        for number in 1..=16 {
            sessions.push((number, open_session(&stores, &format!("s-{number}")).await));
        }
        let done = AtomicBool::new(false);
        let cutting = async {
            let mut stranger = home.stranger().await;
            let cut = "
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = $1 AND pg_sleep(random() * 0.1) IS NOT NULL";
            let mut cuts = 0_i64;
            while !done.load(Ordering::Acquire) {
                let query = sqlx::query_scalar::<_, i64>(cut).bind(home.schema());
                cuts += query.fetch_one(&mut stranger).await.expect("we may");
            }
            cuts
        };
        let working = async {
            let turns = sessions
                .iter()
                .map(|(number, session)| tokio::spawn(run_turn(stores.clone(), session.clone(), *number)));
            let outcomes = join_all(turns).await;
            done.store(true, Ordering::Release);
            outcomes.into_iter().map(|outcome| outcome.expect("no one panics")).sum::<usize>()
        };
        let (cuts, unavailable) = tokio::join!(cutting, working);
        println!("{cuts} connections cut, {unavailable} times unavailable");
        assert!(cuts > 0);
        // The readers are cut as well; what is read now is read after that.
        for (number, session) in &sessions {
            assert_eq!(events(&stores, *number).await, 40);
            let stored =
                stores.sessions.get(&session.id).await.expect("the store answers").expect("it is there");
            assert_eq!(stored.next_message, 40);
            let listed =
                stores.messages.list(&session.id, Page::new(0, 100)).await.expect("the store answers");
            let places: Vec<_> = listed.items.iter().map(|record| record.message.seq).collect();
            assert_eq!(places, (0..40).collect::<Vec<_>>());
        }
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_another_program_locks_fails_alone_and_in_time() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let (held, free) = (open_session(&stores, "held").await, open_session(&stores, "free").await);
        let mut stranger = home.stranger().await;
        let lock = "BEGIN; SELECT FROM sessions WHERE id = 'held' FOR UPDATE";
        sqlx::raw_sql(lock).execute(&mut stranger).await.expect("the lock is free");
        let steps = [accept(&held, 1, "hello"), accept(&free, 2, "hello")];
        let [on_held, on_free] = steps.clone().map(|step| tokio::spawn(stores.turns.advance(step)));
        on_free.await.expect("no one panics").expect("it is written");
        let outcome = on_held.await.expect("no one panics");
        assert!(
            matches!(&outcome, Err(Error::Unavailable { reason }) if reason.contains("lock timeout")),
            "{outcome:?}"
        );
        stores.health.status().await.expect("a session that is locked is no database that is gone");
        sqlx::raw_sql("ROLLBACK").execute(&mut stranger).await.expect("the lock is given back");
        let [step, _] = steps;
        stores.turns.advance(step).await.expect("it is written");
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_deadlock_with_another_program_is_tried_again() {
    at_home(|home| async move {
        let options = Options { lock_wait: Duration::from_secs(20), ..home.options() };
        let store = PostgresStore::open(options).await.expect("the store opens");
        let stores = store.stores();
        let mut sessions = Vec::new();
        for name in ["a", "b", "first"] {
            sessions.push(open_session(&stores, name).await);
        }
        let [a, b, first] = sessions.as_slice() else { panic!("three") };
        let (mut one, mut other) = (home.stranger().await, home.stranger().await);
        // While a first step waits, two gather behind it, to be committed together.
        let lock = "BEGIN; SELECT FROM sessions WHERE id = 'first' FOR UPDATE";
        sqlx::raw_sql(lock).execute(&mut one).await.expect("the lock is free");
        // It waits longer than the store before it looks for a deadlock, so that the store is the one to give way.
        let lock = "SET deadlock_timeout = '1min'; BEGIN; SELECT FROM sessions WHERE id = 'b' FOR UPDATE";
        sqlx::raw_sql(lock).execute(&mut other).await.expect("the lock is free");
        let blocked = tokio::spawn(stores.turns.advance(accept(first, 1, "hello")));
        home.until_waiting(&mut one, 1).await;
        let both = [accept(a, 2, "hello"), accept(b, 3, "hello")].map(|step| stores.turns.advance(step));
        let both = tokio::spawn(join_all(both));
        sqlx::raw_sql("ROLLBACK").execute(&mut one).await.expect("the lock is given back");
        blocked.await.expect("no one panics").expect("it is written");
        home.until_waiting(&mut one, 1).await;
        // The store has a and waits for b; now who has b waits for a.
        let crossing = "SELECT FROM sessions WHERE id = 'a' FOR UPDATE";
        sqlx::raw_sql(crossing).execute(&mut other).await.expect("the store gives way");
        sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("it commits");
        for outcome in both.await.expect("no one panics") {
            outcome.expect("it is written in the second try");
        }
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_named_and_others_are_read() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let (bad, good) = (open_session(&stores, "bad").await, open_session(&stores, "good").await);
        stores.turns.advance(accept(&bad, 1, "hello")).await.expect("it is written");
        stores.turns.advance(accept(&good, 2, "hello")).await.expect("it is written");
        let mut stranger = home.stranger().await;
        let damage = r#"
            UPDATE messages SET content = '[{}]' WHERE session_id = 'bad';
            UPDATE turn_events SET event = '{"at": 1, "event": "no_such"}' WHERE turn_id LIKE '%001';
            UPDATE sessions SET metadata = '[]', next_message = -1 WHERE id = 'bad'"#;
        sqlx::raw_sql(damage).execute(&mut stranger).await.expect("the tables are there");
        stranger.close().await.expect("it closes");
        let corrupt = |outcome: Result<(), Error>, named: &str| match outcome {
            Err(Error::Corrupt { what, .. }) => assert!(what.contains(named), "{what} does not name {named}"),
            other => panic!("{named}: {other:?}"),
        };
        let page = Page::new(0, 10);
        corrupt(stores.messages.list(&bad.id, page).await.map(drop), "message msg_");
        corrupt(stores.messages.recent(&bad.id, 0, 10).await.map(drop), "message msg_");
        corrupt(stores.turns.journal(turn_id(1)).await.map(drop), &turn_id(1).to_string());
        corrupt(stores.sessions.get(&bad.id).await.map(drop), "session bad");
        // A step on it fails alone, whoever shares its transaction.
        let steps = [stores.turns.advance(follow(&bad, 1, 1)), stores.turns.advance(follow(&good, 2, 1))];
        let [on_bad, on_good] = steps.map(tokio::spawn);
        corrupt(on_bad.await.expect("no one panics"), "");
        on_good.await.expect("no one panics").expect("the other is written");
        assert_eq!(stores.messages.index_more(10).await.expect("the index passes it by"), 2);
        assert!(stores.sessions.delete(&bad.id).await.expect("it can be deleted"));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn names_that_a_model_makes_up_are_stored_whatever_they_are() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        let mut step = accept(&session, 1, "hello");
        let long: String = "call ".repeat(2_000);
        let names = ["no\0such\u{1a}", "\u{1a}0", long.as_str()];
        let message = MessageId::from_uuid(Uuid::from_u128(1_000));
        step.calls = names
            .map(|name| CallChange::Asked {
                message,
                call: CallId::new(name),
                tool: name.to_owned(),
                arguments: serde_json::json!({ "\0": name }),
                class: EffectClass::Unsafe,
            })
            .into();
        stores.turns.advance(step).await.expect("it is written");
        let calls = stores.turns.calls_of(&session.id, &[message]).await.expect("the store answers");
        let found: Vec<_> = calls.iter().map(|call| (call.call.as_str(), call.tool.as_str())).collect();
        assert_eq!(found, names.map(|name| (name, name)));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_too_large_for_the_index_is_found() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        let words: Vec<_> = (0..200_000).map(|number| number.to_string()).collect();
        let mut step = accept(&session, 1, "");
        for message in &mut step.messages {
            message.content = vec![ContentBlock::text(words.join(" ")), ContentBlock::text("walrus")];
        }
        stores.turns.advance(step).await.expect("it is written");
        for indexed in [1, 0] {
            for (text, hits) in [("walrus 199999", 1), ("walrus 200000", 0), ("*", 0)] {
                let query = SearchQuery { text: text.to_owned(), session: None, limit: 10 };
                let found = stores.messages.search(&query).await.expect("the store answers");
                assert_eq!(found.len(), hits, "{text}");
            }
            assert_eq!(stores.messages.index_more(10).await.expect("it is passed by"), indexed);
        }
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn only_so_many_spans_are_kept_and_the_oldest_go() {
    at_home(|home| async move {
        let options = Options { kept_spans: 10, ..home.options() };
        let store = PostgresStore::open(options).await.expect("it opens");
        let trace = TraceId::of_turn(turn_id(1));
        for id in 0..25 {
            let (started_at, ended_at) = (at(id), at(id + 1));
            let attributes = serde_json::Map::new();
            let name = "n\0".to_owned();
            let span = SpanRecord { trace, id, parent: None, name, started_at, ended_at, attributes };
            store.stores().spans.append(vec![span]).await.expect("it is written");
        }
        let kept = store.stores().spans.of_trace(trace).await.expect("the store answers");
        assert_eq!(kept.iter().map(|span| span.id).collect::<Vec<_>>(), (15..25).collect::<Vec<_>>());
        assert!(kept.iter().all(|span| span.name == "n\0"));
        store.close().await;
    })
    .await;
}
