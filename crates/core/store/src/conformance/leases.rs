//! Who owns a session, as far as one instance alone can tell. What several do to each other is told by the tests of the
//! stores that allow several.

use std::time::Duration;

use loom_base::InstanceId;
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, at, ensure, finished, follow, message_id, open_session, same, session_id, start, text,
};
use crate::{Advance, Claim, Claimed, Renewal, Stores};

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);

const fn instance(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

async fn join(stores: &Stores, number: u128) -> Outcome {
    let joined = stores.leases.join(instance(number), "127.0.0.1:60051", LONG).await.map_err(text)?;
    ensure(joined != Renewal::Lost, || "one who joins holds nothing".to_owned())
}

pub(super) async fn a_session_is_claimed_with_its_epoch(stores: Stores) -> Outcome {
    join(&stores, 1).await?;
    let session = open_session(&stores, "s").await?;
    let unknown = stores.leases.claim(&session_id("unknown")?, instance(1)).await.map_err(text)?;
    same("a session that is not there", &unknown, &None)?;
    for _ in 0..2 {
        let claim = stores.leases.claim(&session.id, instance(1)).await.map_err(text)?;
        same("a session that is free or ours", &claim, &Some(Claim::Owned { epoch: session.epoch }))?;
    }
    let renewed = stores.leases.renew(instance(1), "127.0.0.1:60052", LONG).await.map_err(text)?;
    ensure(renewed != Renewal::Lost, || "one who has joined cannot renew".to_owned())
}

pub(super) async fn unfinished_sessions_are_claimed_once(stores: Stores) -> Outcome {
    join(&stores, 1).await?;
    let mut expected = Vec::new();
    for number in 1..=3 {
        let session = open_session(&stores, &format!("s-{number}")).await?;
        let mut step = accept(&session, number, "hello")?;
        if let Some(turn) = &mut step.accept {
            turn.accepted_at = at(10 - u64::try_from(number).unwrap_or(0));
        }
        stores.turns.advance(step).await.map_err(text)?;
        expected.insert(0, Claimed { session: session.id, epoch: session.epoch });
    }
    let done = open_session(&stores, "done").await?;
    start(&stores, &done, 4, "hello").await?;
    let last = Advance { end: Some(finished(message_id(4_000))), ..follow(&done, 4, 1) };
    stores.turns.advance(last).await.map_err(text)?;
    open_session(&stores, "unused").await?;

    let some = stores.leases.claim_unfinished(instance(1), 2).await.map_err(text)?;
    same("how many at most", &some.len(), &2)?;
    let rest = stores.leases.claim_unfinished(instance(1), 10).await.map_err(text)?;
    same("sessions with a turn without an end", &[some, rest].concat(), &expected)?;
    let more = stores.leases.claim_unfinished(instance(1), 10).await.map_err(text)?;
    same("those it owns already", &more, &Vec::new())
}

pub(super) async fn one_who_leaves_gives_its_sessions_back(stores: Stores) -> Outcome {
    join(&stores, 1).await?;
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let owned = Some(Claim::Owned { epoch: session.epoch });
    same("the first", &stores.leases.claim(&session.id, instance(1)).await.map_err(text)?, &owned)?;
    stores.leases.release(instance(1)).await.map_err(text)?;
    join(&stores, 2).await?;
    let unfinished = stores.leases.claim_unfinished(instance(2), 10).await.map_err(text)?;
    let expected = vec![Claimed { session: session.id.clone(), epoch: session.epoch }];
    same("what the first left", &unfinished, &expected)?;
    same("the second", &stores.leases.claim(&session.id, instance(2)).await.map_err(text)?, &owned)
}
