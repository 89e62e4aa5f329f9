//! What is acknowledged is stored, and what waits together commits together.

use futures::future::join_all;
use loom_store::{Error, SearchQuery};

use crate::support::{accept, at_home, follow, open_session, turn_id};

#[tokio::test]
async fn everything_acknowledged_is_there_after_the_process_is_cut_off() {
    at_home(|home| async move {
        let cut_off = home.clone();
        let working = std::thread::spawn(move || {
            // When the runtime goes, its tasks stop where they are: nothing is closed, nothing flushed.
            let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
            runtime.block_on(async {
                let store = cut_off.open().await;
                let stores = store.stores();
                let mut acknowledged = Vec::new();
                for number in 1..=20 {
                    let session = open_session(&stores, &format!("s-{number}")).await;
                    stores.turns.advance(accept(&session, number, "hello")).await.expect("it is written");
                    acknowledged.push(number);
                    // Queued and not waited for: it may or may not be there, but whole.
                    drop(stores.turns.advance(follow(&session, number, 1)));
                }
                acknowledged
            })
        });
        let acknowledged = working.join().expect("no one panics");
        let store = home.open().await;
        for number in acknowledged {
            let journal = store.stores().turns.journal(turn_id(number)).await.expect("the store answers");
            let events = journal.expect("an acknowledged turn is there").events.len();
            assert!((1..=2).contains(&events), "{events}");
        }
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn writers_that_wait_together_share_a_commit() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let mut sessions = Vec::new();
        for number in 1..=64 {
            sessions.push((number, open_session(&stores, &format!("s-{number}")).await));
        }
        let before = store.commits();
        let steps =
            sessions.iter().map(|(number, session)| stores.turns.advance(accept(session, *number, "hello")));
        let receipts: Vec<_> = steps.collect();
        for outcome in join_all(receipts).await {
            outcome.expect("it is written");
        }
        let commits = store.commits() - before;
        // The first may be alone; while it is on its way to the disk, the others gather.
        assert!((1..=16).contains(&commits), "{commits} commits for 64 steps");
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_finishes_what_was_queued_and_then_answers_nothing() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        let queued = stores.turns.advance(accept(&session, 1, "hello"));
        store.close().await;
        queued.await.expect("it was queued before the store closed");
        let late = stores.turns.advance(follow(&session, 1, 1)).await;
        assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
        assert!(matches!(stores.sessions.get(&session.id).await, Err(Error::Unavailable { .. })));
        let query = SearchQuery { text: "hello".to_owned(), session: None, limit: 1 };
        assert!(matches!(stores.messages.search(&query).await, Err(Error::Unavailable { .. })));
        assert!(stores.health.status().await.is_err());
    })
    .await;
}
