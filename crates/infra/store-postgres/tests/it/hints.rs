//! Hints from one process to another, and what becomes of them when connections break.

use loom_store::{Hint, Hints};
use loom_store_postgres::PostgresStore;

use crate::support::at_home;

async fn listen(store: &PostgresStore) -> Box<dyn Hints> {
    let listening = store.stores().hints.listen().await.expect("the server answers");
    listening.expect("others may come")
}

async fn give(store: &PostgresStore, hint: Hint) {
    store.stores().hints.give(hint).await.expect("the server answers");
}

/// The next hint that is not `unwanted`: other tests share the database, and with it the channel.
async fn next(hints: &mut dyn Hints, wanted: Hint) {
    while hints.next().await.expect("it hears") != wanted {}
}

#[tokio::test]
async fn a_hint_reaches_all_who_listen_and_who_begins_to_listen_may_have_missed_some() {
    at_home(|home| async move {
        let (one, other) = (home.open().await, home.open().await);
        let (mut here, mut there) = (listen(&one).await, listen(&other).await);
        for hints in [&mut here, &mut there] {
            assert_eq!(hints.next().await.expect("it hears"), Hint::Anything);
        }
        for hint in [Hint::Agents, Hint::Owners] {
            give(&one, hint).await;
            next(&mut *here, hint).await;
            next(&mut *there, hint).await;
        }
        drop((here, there));
        one.close().await;
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_whose_connection_broke_listens_again_and_says_that_it_may_have_missed_some() {
    at_home(|home| async move {
        let store = home.open().await;
        let mut hints = listen(&store).await;
        assert_eq!(hints.next().await.expect("it hears"), Hint::Anything);
        let mut stranger = home.stranger().await;
        for _ in 0..2 {
            let cut = "
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = $1 AND query LIKE 'LISTEN%'";
            let cut: i64 = sqlx::query_scalar(cut)
                .bind(home.schema())
                .fetch_one(&mut stranger)
                .await
                .expect("the server lets us");
            assert_eq!(cut, 1, "it listens");
            next(&mut *hints, Hint::Anything).await;
            give(&store, Hint::Owners).await;
            next(&mut *hints, Hint::Owners).await;
        }
        drop(hints);
        store.close().await;
    })
    .await;
}
