//! Several instances that want the same sessions.

use std::time::Duration;

use loom_base::{InstanceId, SessionId};
use loom_store::{Claim, Error, Renewal, Stores};
use uuid::Uuid;

use crate::support::{accept, at_home, follow, open_session};

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);
/// Over before the next statement.
const SHORT: Duration = Duration::from_micros(1);

const FIRST: InstanceId = InstanceId::from_uuid(Uuid::from_u128(1));
const SECOND: InstanceId = InstanceId::from_uuid(Uuid::from_u128(2));

async fn join(stores: &Stores, instance: InstanceId, ttl: Duration) {
    let joined =
        stores.leases.join(instance, &format!("at {instance}"), ttl).await.expect("the store answers");
    assert_eq!(joined, Renewal::Held { remaining: Some(ttl) });
}

async fn claim(stores: &Stores, session: &SessionId, instance: InstanceId) -> Claim {
    let claim = stores.leases.claim(session, instance).await.expect("the store answers");
    claim.expect("the session is there")
}

#[tokio::test]
async fn a_session_of_a_living_instance_is_refused_with_its_address_until_it_leaves() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        join(&stores, FIRST, LONG).await;
        join(&stores, SECOND, LONG).await;
        let owned = Claim::Owned { epoch: session.epoch };
        assert_eq!(claim(&stores, &session.id, FIRST).await, owned);
        stores.turns.advance(accept(&session, 1, "hello")).await.expect("it is written");
        let Claim::Held { instance, address, remaining } = claim(&stores, &session.id, SECOND).await else {
            panic!("two own one session")
        };
        assert_eq!((instance, address), (FIRST, format!("at {FIRST}")));
        assert!(remaining <= LONG && remaining > LONG / 2, "{remaining:?}");
        let unfinished = stores.leases.claim_unfinished(SECOND, 10).await.expect("the store answers");
        assert_eq!(unfinished, Vec::new());
        stores.leases.release(FIRST).await.expect("the store answers");
        assert_eq!(claim(&stores, &session.id, SECOND).await, owned);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_is_taken_from_one_whose_time_is_over_and_that_one_writes_no_more() {
    at_home(|home| async move {
        let store = home.open().await;
        let stores = store.stores();
        let session = open_session(&stores, "s").await;
        join(&stores, FIRST, SHORT).await;
        join(&stores, SECOND, LONG).await;
        assert_eq!(claim(&stores, &session.id, FIRST).await, Claim::Owned { epoch: session.epoch });
        stores.turns.advance(accept(&session, 1, "hello")).await.expect("nobody else wants it yet");
        let epoch = session.epoch + 1;
        assert_eq!(claim(&stores, &session.id, SECOND).await, Claim::Owned { epoch });
        let late = stores.turns.advance(follow(&session, 1, 1)).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        let renewed = stores.leases.renew(FIRST, "", LONG).await.expect("the store answers");
        assert_eq!(renewed, Renewal::Lost);
        let now = stores.sessions.get(&session.id).await.expect("the store answers").expect("it is there");
        stores.turns.advance(follow(&now, 1, 1)).await.expect("the new owner writes");
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn one_whose_time_is_over_cannot_renew_although_nobody_noticed() {
    at_home(|home| async move {
        let store = home.open().await;
        let leases = store.stores().leases;
        join(&store.stores(), FIRST, SHORT).await;
        assert_eq!(leases.renew(FIRST, "", LONG).await.expect("the store answers"), Renewal::Lost);
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_look_for_unfinished_sessions_at_once_get_different_ones() {
    const SESSIONS: u32 = 40;
    at_home(|home| async move {
        let (one, other) = (home.open().await, home.open().await);
        for number in 0..SESSIONS {
            let session = open_session(&one.stores(), &format!("s-{number}")).await;
            let step = accept(&session, 1 + u128::from(number), "hello");
            one.stores().turns.advance(step).await.expect("it is written");
        }
        let mut looking = Vec::new();
        for (stores, instance) in [(one.stores(), FIRST), (other.stores(), SECOND)] {
            join(&stores, instance, LONG).await;
            looking.push(tokio::spawn(async move {
                let mut found = Vec::new();
                loop {
                    let some = stores.leases.claim_unfinished(instance, 3).await.expect("the store answers");
                    if some.is_empty() {
                        return found;
                    }
                    found.extend(some);
                }
            }));
        }
        let mut found = Vec::new();
        for looking in looking {
            found.extend(looking.await.expect("no one panics"));
        }
        let count = found.len();
        found.sort();
        found.dedup_by(|one, other| one.session == other.session);
        assert_eq!((found.len(), count), (SESSIONS as usize, SESSIONS as usize));
        one.close().await;
        other.close().await;
    })
    .await;
}
