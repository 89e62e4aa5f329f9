//! The full-text index that follows in the background.

use std::sync::Arc;
use std::time::Duration;

use loom_store_postgres::{Options, PostgresStore};
use loom_testkit::ManualClock;
use sqlx::PgConnection;

use crate::support::{accept, at_home, open_session};

async fn indexed(stranger: &mut PgConnection) -> i64 {
    let indexed = sqlx::query_scalar("SELECT count(words) FROM messages");
    indexed.fetch_one(stranger).await.expect("the table is there")
}

/// Returns once so many messages are indexed.
async fn until_indexed(stranger: &mut PgConnection, number: i64) {
    while indexed(stranger).await != number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_index_catches_up_waits_for_quiet_and_ends_with_the_store() {
    at_home(|home| async move {
        let clock = Arc::new(ManualClock::default());
        let options = Options { clock: Arc::clone(&clock) as _, ..home.options() };
        let store = PostgresStore::open(options).await.expect("the store opens");
        let stores = store.stores();
        let session = open_session(&stores, "before").await;
        stores.turns.advance(accept(&session, 1, "left by an earlier run")).await.expect("it is written");
        let indexing = tokio::spawn(store.index_in_background());
        let mut stranger = home.stranger().await;
        until_indexed(&mut stranger, 1).await;

        let session = open_session(&stores, "after").await;
        stores.turns.advance(accept(&session, 2, "new")).await.expect("it is written");
        clock.until_sleeping(1).await;
        assert_eq!(indexed(&mut stranger).await, 1, "it waits for quiet");
        clock.advance(Duration::from_secs(1));
        until_indexed(&mut stranger, 2).await;
        store.close().await;
        indexing.await.expect("it ends by itself");
    })
    .await;
}
