//! Keys under which requests are sent.

use loom_base::Digest;

use super::Outcome;
use super::fixture::{accept, at, open_session, refused, same, text, turn_id};
use crate::{Advance, Error, IdempotencyKey, RequestKey, SessionRecord, Stores};

fn key(name: &str) -> RequestKey {
    RequestKey { principal: "local".to_owned(), method: "Weave".to_owned(), key: name.to_owned() }
}

fn keyed(session: &SessionRecord, number: u128, name: &str) -> Result<Advance, String> {
    let key = IdempotencyKey { key: key(name), digest: Digest::of(name) };
    Ok(Advance { key: Some(key), ..accept(session, number, "hello")? })
}

pub(super) async fn a_key_stands_for_one_turn(stores: Stores) -> Outcome {
    let (one, two) = (open_session(&stores, "one").await?, open_session(&stores, "two").await?);
    same("a free key", &stores.turns.of_key(&key("a")).await.map_err(text)?, &None)?;
    // In one batch: the second is refused, the third is not harmed.
    let three = open_session(&stores, "three").await?;
    let receipts = [keyed(&one, 1, "a")?, keyed(&two, 2, "a")?, keyed(&three, 3, "b")?];
    let receipts = receipts.map(|step| stores.turns.advance(step));
    let [first, second, third] = receipts;
    first.await.map_err(text)?;
    refused!(second.await, Error::Exists { .. })?;
    third.await.map_err(text)?;
    let found = stores.turns.of_key(&key("a")).await.map_err(text)?;
    same("a used key", &found, &Some((turn_id(1), Digest::of("a"))))?;
    let elsewhere = RequestKey { method: "Other".to_owned(), ..key("a") };
    same("for another method", &stores.turns.of_key(&elsewhere).await.map_err(text)?, &None)?;
    // The same append again is no second use.
    stores.turns.advance(keyed(&one, 1, "a")?).await.map_err(text)?;
    stores.sessions.delete(&one.id).await.map_err(text)?;
    same("after deletion", &stores.turns.of_key(&key("a")).await.map_err(text)?, &None)
}

pub(super) async fn old_keys_are_forgotten(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    stores.turns.advance(keyed(&session, 1, "a")?).await.map_err(text)?;
    same("younger", &stores.turns.forget_keys(at(1)).await.map_err(text)?, &0)?;
    same("older", &stores.turns.forget_keys(at(2)).await.map_err(text)?, &1)?;
    same("forgotten", &stores.turns.of_key(&key("a")).await.map_err(text)?, &None)
}
