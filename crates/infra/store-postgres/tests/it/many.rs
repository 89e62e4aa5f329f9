//! Several processes on one database: each store here has its own connections, and knows nothing of the others.

use std::time::Duration;

use futures::future::join_all;
use loom_base::MessageId;
use loom_store::{Advance, Error, SearchQuery, SessionRecord, Stores};
use loom_store_postgres::{Options, PostgresStore};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{accept, at_home, follow, open_session, turn_id};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_open_at_once_make_the_schema_once() {
    at_home(|home| async move {
        let opening = (0..6).map(|_| {
            let home = home.clone();
            tokio::spawn(async move { home.open().await })
        });
        for opened in join_all(opening).await {
            opened.expect("it opens").close().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_rivals_wins_whatever_store_they_use() {
    at_home(|home| async move {
        let stores = [home.open().await, home.open().await, home.open().await];
        let session = open_session(&stores[0].stores(), "s").await;
        stores[0].stores().turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
        for seq in 1..30 {
            let rivals = (0..9_u128).zip(stores.iter().cycle()).map(|(number, store)| {
                let append_id = Uuid::from_u128(9_000 + u128::from(seq) * 10 + number);
                let step = Advance { append_id, ..follow(&session, 1, seq) };
                tokio::spawn(store.stores().turns.advance(step))
            });
            let outcomes: Vec<_> =
                join_all(rivals).await.into_iter().map(|outcome| outcome.expect("no one panics")).collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
            for error in outcomes.into_iter().filter_map(Result::err) {
                assert!(matches!(error, Error::Conflict { .. }), "{error}");
            }
        }
        for store in stores {
            store.close().await;
        }
    })
    .await;
}

/// Adds events to the turns of `sessions`, all at once and in the order given, as one who believes to be alone. Returns how
/// many were taken.
async fn add_to_all(stores: Stores, sessions: Vec<(u128, SessionRecord)>, append_ids: u128) -> usize {
    let mut taken = 0;
    for round in 0..20 {
        let mut steps = Vec::new();
        for (number, session) in &sessions {
            let journal = stores.turns.journal(turn_id(*number)).await.expect("the store answers");
            let events = journal.expect("the turn is there").events.len();
            let seq = u32::try_from(events).expect("there are few");
            let append_id = Uuid::from_u128(append_ids + round * 1_000 + *number);
            steps.push(Advance { append_id, ..follow(session, *number, seq) });
        }
        let receipts: Vec<_> = steps.into_iter().map(|step| stores.turns.advance(step)).collect();
        for outcome in join_all(receipts).await {
            match outcome {
                Ok(()) => taken += 1,
                Err(Error::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_write_to_the_same_sessions_in_opposite_orders_do_not_stop_each_other() {
    at_home(|home| async move {
        let (one, two) = (home.open().await, home.open().await);
        let mut sessions = Vec::new();
        for number in 1..=20 {
            let session = open_session(&one.stores(), &format!("s-{number}")).await;
            one.stores().turns.advance(accept(&session, number, "hello")).await.expect("it is written");
            sessions.push((number, session));
        }
        let backwards: Vec<_> = sessions.iter().rev().cloned().collect();
        let writing = [
            tokio::spawn(add_to_all(one.stores(), sessions.clone(), 1_000_000)),
            tokio::spawn(add_to_all(two.stores(), backwards, 2_000_000)),
        ];
        let taken: usize =
            join_all(writing).await.into_iter().map(|taken| taken.expect("no one panics")).sum();
        let mut stored = 0;
        for (number, _) in &sessions {
            let journal = two.stores().turns.journal(turn_id(*number)).await.expect("the store answers");
            stored += journal.expect("the turn is there").events.len() - 1;
        }
        assert_eq!(stored, taken, "what was taken is stored, and nothing else");
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn sessions_are_locked_in_one_order_whatever_order_they_are_written_in() {
    at_home(|home| async move {
        let options = Options { lock_wait: Duration::from_secs(20), ..home.options() };
        let store = PostgresStore::open(options).await.expect("the store opens");
        let stores = store.stores();
        let mut sessions = Vec::new();
        for name in ["z", "a", "first"] {
            sessions.push(open_session(&stores, name).await);
        }
        let [z, a, first] = sessions.as_slice() else { panic!("three") };
        let (mut one, mut two) = (home.stranger().await, home.stranger().await);
        for (stranger, name) in [(&mut one, "first"), (&mut two, "a")] {
            let lock = format!("BEGIN; SELECT FROM sessions WHERE id = '{name}' FOR UPDATE");
            sqlx::raw_sql(AssertSqlSafe(lock)).execute(stranger).await.expect("the lock is free");
        }
        // While a first step waits, two gather behind it, to be committed together.
        let blocked = tokio::spawn(stores.turns.advance(accept(first, 1, "hello")));
        home.until_waiting(&mut one, 1).await;
        let both = [accept(z, 2, "hello"), accept(a, 3, "hello")].map(|step| stores.turns.advance(step));
        let both = tokio::spawn(join_all(both));
        sqlx::raw_sql("ROLLBACK").execute(&mut one).await.expect("the lock is given back");
        blocked.await.expect("no one panics").expect("it is written");
        home.until_waiting(&mut one, 1).await;
        let other = "SELECT FROM sessions WHERE id = 'z' FOR UPDATE NOWAIT";
        sqlx::raw_sql(other).execute(&mut one).await.expect("it waits for a, and does not have z yet");
        sqlx::raw_sql("COMMIT").execute(&mut two).await.expect("the lock is given back");
        for outcome in both.await.expect("no one panics") {
            outcome.expect("it is written");
        }
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_under_an_epoch_that_has_ended() {
    at_home(|home| async move {
        let (old, new) = (home.open().await, home.open().await);
        let session = open_session(&old.stores(), "s").await;
        old.stores().turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
        let writing = tokio::spawn({
            let (stores, session) = (old.stores(), session.clone());
            async move {
                for seq in 1.. {
                    match stores.turns.advance(follow(&session, 1, seq)).await {
                        Ok(()) => {}
                        Err(Error::Fenced { .. }) => return seq,
                        Err(error) => panic!("{error}"),
                    }
                }
                0
            }
        });
        let mut stranger = home.stranger().await;
        let events = "SELECT events FROM turns WHERE session_id = 's'";
        while sqlx::query_scalar::<_, i64>(events).fetch_one(&mut stranger).await.expect("it answers") < 20 {}
        let take_over = "UPDATE sessions SET epoch = epoch + 1 WHERE id = 's' RETURNING epoch";
        let epoch: i64 = sqlx::query_scalar(take_over).fetch_one(&mut stranger).await.expect("we may");
        let at_once: i64 = sqlx::query_scalar(events).fetch_one(&mut stranger).await.expect("it answers");
        let stopped_at = writing.await.expect("no one panics");
        assert_eq!(i64::from(stopped_at), at_once, "nothing was added after the epoch ended");
        let owned = SessionRecord { epoch: u64::try_from(epoch).expect("it grows"), ..session };
        new.stores().turns.advance(follow(&owned, 1, stopped_at)).await.expect("the new owner writes");
        old.close().await;
        new.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_index_at_once_index_each_message_once() {
    at_home(|home| async move {
        let (one, two) = (home.open().await, home.open().await);
        let session = open_session(&one.stores(), "s").await;
        let mut step = accept(&session, 1, "walrus");
        let said = step.messages.clone();
        step.messages = (0..300)
            .flat_map(|seq| {
                said.iter().cloned().map(move |mut message| {
                    message.id = MessageId::from_uuid(Uuid::from_u128(5_000 + u128::from(seq)));
                    message.seq = seq;
                    message
                })
            })
            .collect();
        one.stores().turns.advance(step).await.expect("it is written");
        let index = |stores: Stores| async move {
            let mut indexed = 0;
            loop {
                match stores.messages.index_more(7).await.expect("the store answers") {
                    0 => return indexed,
                    more => indexed += more,
                }
            }
        };
        let both = [tokio::spawn(index(one.stores())), tokio::spawn(index(two.stores()))];
        let indexed: u32 =
            join_all(both).await.into_iter().map(|indexed| indexed.expect("no one panics")).sum();
        assert_eq!(indexed, 300);
        let query = SearchQuery { text: "walrus".to_owned(), session: None, limit: 500 };
        assert_eq!(two.stores().messages.search(&query).await.expect("it answers").len(), 300);
        one.close().await;
        two.close().await;
    })
    .await;
}
