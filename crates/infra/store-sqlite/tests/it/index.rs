//! The full-text index that follows in the background.

use std::sync::Arc;
use std::time::Duration;

use loom_store_sqlite::{Options, SqliteStore};
use loom_testkit::ManualClock;
use sqlx::{Row as _, SqliteConnection};

use crate::support::{Home, accept, open_session};

/// Returns once the index has come to message `number`.
async fn until_indexed(stranger: &mut SqliteConnection, number: i64) {
    loop {
        let cursor = sqlx::query("SELECT value FROM meta WHERE key = 'fts_cursor'");
        if cursor.fetch_one(&mut *stranger).await.expect("the table is there").get::<i64, _>(0) == number {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_index_catches_up_waits_for_quiet_and_ends_with_the_store() {
    let home = Home::new();
    let clock = Arc::new(ManualClock::default());
    let options = Options { clock: Arc::clone(&clock) as _, ..home.options() };
    let store = SqliteStore::open(options).await.expect("the store opens");
    let stores = store.stores();
    let session = open_session(&stores, "before").await;
    stores.turns.advance(accept(&session, 1, "left by an earlier run")).await.expect("it is written");
    let indexing = tokio::spawn(store.index_in_background());
    let mut stranger = home.stranger().await;
    until_indexed(&mut stranger, 1).await;

    let session = open_session(&stores, "after").await;
    stores.turns.advance(accept(&session, 2, "new")).await.expect("it is written");
    clock.until_sleeping(1).await;
    let cursor = sqlx::query("SELECT value FROM meta WHERE key = 'fts_cursor'");
    let cursor = cursor.fetch_one(&mut stranger).await.expect("the table is there").get::<i64, _>(0);
    assert_eq!(cursor, 1, "it waits for quiet");
    clock.advance(Duration::from_secs(1));
    until_indexed(&mut stranger, 2).await;
    store.close().await;
    indexing.await.expect("it ends by itself");
}

#[tokio::test]
async fn the_words_of_a_deleted_session_leave_the_index() {
    let home = Home::new();
    let store = home.open().await;
    let stores = store.stores();
    for (number, name) in [(1, "gone"), (2, "kept")] {
        let session = open_session(&stores, name).await;
        stores.turns.advance(accept(&session, number, "walrus")).await.expect("it is written");
    }
    assert_eq!(stores.messages.index_more(10).await.expect("it is indexed"), 2);
    assert!(stores.sessions.delete(&"gone".parse().expect("it is an id")).await.expect("it is deleted"));
    let mut stranger = home.stranger().await;
    let entries = sqlx::query("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'walrus'");
    let entries = entries.fetch_one(&mut stranger).await.expect("the index answers").get::<i64, _>(0);
    assert_eq!(entries, 1);
}
