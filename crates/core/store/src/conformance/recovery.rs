//! Turns that a stop cut off.

use super::Outcome;
use super::fixture::{
    accept, at, finished, follow, message_id, open_session, refused, same, start, text, turn_id,
};
use crate::{Advance, CutOff, Error, Page, Stores};

async fn unfinished(
    stores: &Stores,
    principal: Option<&str>,
    page: Page,
) -> Result<(Vec<u128>, u64), String> {
    let listed = stores.turns.all_unfinished(principal, page).await.map_err(text)?;
    Ok((listed.items.iter().map(|turn| turn.turn.as_uuid().as_u128()).collect(), listed.total))
}

pub(super) async fn unfinished_turns_are_listed_in_order(stores: Stores) -> Outcome {
    let all = Page::new(0, 0);
    for number in 1..=4 {
        let session = open_session(&stores, &format!("s{number}")).await?;
        let mut step = accept(&session, number, "hello")?;
        if let Some(new) = &mut step.accept {
            new.accepted_at = at(10 - u64::try_from(number).unwrap_or(0));
        }
        stores.turns.advance(step).await.map_err(text)?;
        if number == 2 {
            let last = Advance { end: Some(finished(message_id(2))), ..follow(&session, number, 1) };
            stores.turns.advance(last).await.map_err(text)?;
        }
    }
    same("all", &unfinished(&stores, None, all).await?, &(vec![4, 3, 1], 3))?;
    same("a page", &unfinished(&stores, None, Page::new(1, 1)).await?, &(vec![3], 3))?;
    same("its owner's", &unfinished(&stores, Some("local"), all).await?, &(vec![4, 3, 1], 3))?;
    same("another's", &unfinished(&stores, Some("other"), all).await?, &(Vec::new(), 0))
}

pub(super) async fn recovering_is_counted_until_the_turn_gets_further(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let recover =
        async || stores.turns.recover(&session.id, session.epoch, turn_id(1), CutOff::MadeAgain).await;
    for expected in 1..=2 {
        let turn = recover().await.map_err(text)?;
        same("counts", &(turn.recoveries, turn.stalled), &(expected, expected))?;
    }
    stores.turns.advance(follow(&session, 1, 1)).await.map_err(text)?;
    let turn = recover().await.map_err(text)?;
    same("after a step", &(turn.recoveries, turn.stalled), &(3, 1))?;
    let last = Advance { end: Some(finished(message_id(2))), ..follow(&session, 1, 2) };
    stores.turns.advance(last).await.map_err(text)?;
    refused!(recover().await, Error::Fenced { .. })
}

pub(super) async fn a_turn_that_is_put_down_is_not_stalled_by_that(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let recover =
        async || stores.turns.recover(&session.id, session.epoch, turn_id(1), CutOff::MadeAgain).await;
    let put_down = async |epoch| stores.turns.put_down(&session.id, epoch, turn_id(1)).await;
    for expected in 1..=3 {
        put_down(session.epoch).await.map_err(text)?;
        let turn = recover().await.map_err(text)?;
        same("counts", &(turn.recoveries, turn.stalled), &(expected, 1))?;
    }
    put_down(session.epoch + 1).await.map_err(text)?;
    let turn = recover().await.map_err(text)?;
    same("an older owner's word", &(turn.recoveries, turn.stalled), &(4, 2))
}

pub(super) async fn an_older_owner_recovers_nothing(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let refused_for =
        stores.turns.recover(&session.id, session.epoch + 1, turn_id(1), CutOff::MadeAgain).await;
    refused!(refused_for, Error::Fenced { .. })?;
    let turn = stores
        .turns
        .recover(&session.id, session.epoch, turn_id(1), CutOff::MadeAgain)
        .await
        .map_err(text)?;
    same("counts", &(turn.recoveries, turn.stalled), &(1, 1))
}
