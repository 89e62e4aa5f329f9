//! Disks that are full, locks of others, rows that are wrong.

use loom_agent::Outcome;
use loom_store::{Advance, EndNotes, Error, Page, TurnEnd};
use loom_testkit::steps::at;
use sqlx::Connection as _;

use crate::support::{Home, accept, follow, open_session, turn_id};

#[tokio::test]
async fn a_full_disk_fails_what_does_not_fit_and_nothing_else_and_is_recovered_from() {
    let home = Home::new();
    let store = home.open().await;
    let stores = store.stores();
    let session = open_session(&stores, "s").await;
    let end = TurnEnd { outcome: Outcome::Cancelled, ended_at: at(1), notes: EndNotes::default() };
    let over = Advance { end: Some(end), ..accept(&session, 1, "hello") };
    stores.turns.advance(over).await.expect("it fits");
    let before = stores.sessions.get(&session.id).await.expect("the store answers").expect("it is there");
    store.limit_size(1).await.expect("the limit is taken");
    let mut large = accept(&before, 2, &"x".repeat(1_000_000));
    let full = stores.turns.advance(large.clone()).await;
    assert!(matches!(&full, Err(Error::Unavailable { reason }) if reason.contains("full")), "{full:?}");
    // The connection that was opened instead knows the limit, and reads go on.
    let again = stores.turns.advance(large.clone()).await;
    assert!(matches!(again, Err(Error::Unavailable { .. })), "{again:?}");
    let stored = stores.sessions.get(&session.id).await.expect("the store answers").expect("it is there");
    assert_eq!(stored, before, "nothing of it is stored");
    assert_eq!(stores.turns.journal(turn_id(2)).await.expect("the store answers"), None);
    for _ in 0..2 {
        let status = stores.health.status().await;
        assert!(matches!(&status, Err(Error::Unavailable { .. })), "{status:?}");
    }

    store.limit_size(1 << 40).await.expect("the limit is taken");
    stores.health.status().await.expect("it works again, and no turn was needed");
    store.limit_size(1).await.expect("the limit is taken");
    let full = stores.turns.advance(large.clone()).await;
    assert!(matches!(full, Err(Error::Unavailable { .. })), "{full:?}");

    store.limit_size(1 << 40).await.expect("the limit is taken");
    large.epoch = stored.epoch;
    stores.turns.advance(large).await.expect("it fits now, without a restart");
    stores.health.status().await.expect("the store works again");
    assert!(stores.turns.journal(turn_id(2)).await.expect("the store answers").is_some());
}

#[tokio::test]
async fn a_write_that_another_program_keeps_waiting_fails_in_time_and_readiness_says_so() {
    let home = Home::new();
    let store = home.open().await;
    let stores = store.stores();
    let session = open_session(&stores, "s").await;
    let mut stranger = home.stranger().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger).await.expect("the lock is free");
    let step = accept(&session, 1, "hello");
    let outcome = stores.turns.advance(step.clone()).await;
    assert!(
        matches!(&outcome, Err(Error::Unavailable { reason }) if reason.contains("locked")),
        "{outcome:?}"
    );
    assert!(stores.health.status().await.is_err(), "a store that cannot write is not ready");
    assert!(stores.sessions.get(&session.id).await.expect("reads go on").is_some());
    sqlx::query("ROLLBACK").execute(&mut stranger).await.expect("the lock is given back");
    stores.health.status().await.expect("readiness comes back although nobody wrote meanwhile");
    stores.turns.advance(step).await.expect("it is written");
    stranger.close().await.expect("it closes");
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_named_and_others_are_read() {
    let home = Home::new();
    let store = home.open().await;
    let stores = store.stores();
    let (bad, good) = (open_session(&stores, "bad").await, open_session(&stores, "good").await);
    stores.turns.advance(accept(&bad, 1, "hello")).await.expect("it is written");
    stores.turns.advance(accept(&good, 2, "hello")).await.expect("it is written");
    let mut stranger = home.stranger().await;
    for damage in [
        "UPDATE messages SET content = '[{' WHERE session_id = 'bad'",
        "UPDATE turn_events SET event = '{\"at\": 1, \"event\": \"no_such\"}' WHERE turn_id LIKE '%001'",
        "UPDATE sessions SET metadata = '[]', next_message = -1 WHERE id = 'bad'",
    ] {
        sqlx::query(damage).execute(&mut stranger).await.expect("the table is there");
    }
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
}

#[tokio::test]
async fn what_another_program_has_changed_holds_for_the_next_step() {
    let home = Home::new();
    let store = home.open().await;
    let stores = store.stores();
    let session = open_session(&stores, "s").await;
    stores.turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
    stores.turns.advance(follow(&session, 1, 1)).await.expect("what is known is what is stored");
    let mut stranger = home.stranger().await;
    let fence = "UPDATE sessions SET epoch = epoch + 1 WHERE id = 's'";
    sqlx::query(fence).execute(&mut stranger).await.expect("the table is there");
    let fenced = stores.turns.advance(follow(&session, 1, 2)).await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    let free = "UPDATE sessions SET epoch = epoch - 1 WHERE id = 's'";
    sqlx::query(free).execute(&mut stranger).await.expect("the table is there");
    stores.turns.advance(follow(&session, 1, 2)).await.expect("it is written");
    sqlx::query("DELETE FROM sessions").execute(&mut stranger).await.expect("the table is there");
    stranger.close().await.expect("it closes");
    let gone = stores.turns.advance(follow(&session, 1, 3)).await;
    assert!(matches!(gone, Err(Error::Missing { .. })), "{gone:?}");
}

#[tokio::test]
async fn only_so_many_spans_are_kept_and_the_oldest_go() {
    use loom_base::TraceId;
    use loom_store::SpanRecord;
    let home = Home::new();
    let options = loom_store_sqlite::Options { kept_spans: 10, ..home.options() };
    let store = loom_store_sqlite::SqliteStore::open(options).await.expect("it opens");
    let trace = TraceId::of_turn(turn_id(1));
    for id in 0..25 {
        let (started_at, ended_at) = (crate::support::at(id), crate::support::at(id + 1));
        let attributes = serde_json::Map::new();
        let span =
            SpanRecord { trace, id, parent: None, name: "n".to_owned(), started_at, ended_at, attributes };
        store.stores().spans.append(vec![span]).await.expect("it is written");
    }
    let kept = store.stores().spans.of_trace(trace).await.expect("the store answers");
    assert_eq!(kept.iter().map(|span| span.id).collect::<Vec<_>>(), (15..25).collect::<Vec<_>>());
}
