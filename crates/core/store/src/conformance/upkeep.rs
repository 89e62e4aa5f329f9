//! Looking after a store as a whole.

use loom_base::SessionId;

use super::Outcome;
use super::fixture::{accept, at, finished, follow, message_id, open_session, same, start, text, turn_id};
use crate::{Advance, Error, Removed, SessionReader, SessionRecord, StoreCounts, Stores};

/// A turn of two events, the second of which ends it.
async fn ended(stores: &Stores, session: &SessionRecord, number: u128) -> Outcome {
    start(stores, session, number, "hello").await?;
    let last = Advance { end: Some(finished(message_id(2))), ..follow(session, number, 1) };
    stores.turns.advance(last).await.map_err(text)
}

async fn reader(stores: &Stores, session: &str) -> Result<Box<dyn SessionReader>, String> {
    let reader = stores.upkeep.read(session).await.map_err(text)?;
    reader.ok_or_else(|| format!("session {session} is not there"))
}

pub(super) async fn what_is_stored_is_counted(stores: Stores) -> Outcome {
    same("nothing", &stores.upkeep.counts().await.map_err(text)?, &StoreCounts::default())?;
    let (one, other) = (open_session(&stores, "one").await?, open_session(&stores, "other").await?);
    ended(&stores, &one, 1).await?;
    start(&stores, &other, 2, "hello").await?;
    let expected =
        StoreCounts { sessions: 2, turns: 2, unfinished: 1, messages: 2, ..StoreCounts::default() };
    same("counts", &stores.upkeep.counts().await.map_err(text)?, &expected)?;
    same("damages", &stores.upkeep.damages().await.map_err(text)?, &Vec::new())
}

pub(super) async fn a_session_is_read_row_by_row_at_one_moment(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    ended(&stores, &session, 1).await?;
    let mut reader = reader(&stores, "s").await?;
    let next = super::fixture::reload(&stores, &session).await?;
    stores.turns.advance(accept(&next, 2, "later")?).await.map_err(text)?;

    let stored = reader.session().await.map_err(text)?.map_err(text)?;
    same("the session", &stored.next_message, &1)?;
    let turns = reader.turns(i64::MIN, 10).await.map_err(text)?;
    let ids: Vec<_> = turns.iter().filter_map(|turn| turn.row.clone().ok()).collect();
    same("turns", &ids, &vec![turn_id(1)])?;
    let rest = match turns.last() {
        Some(last) => reader.turns(last.place, 10).await.map_err(text)?.len(),
        None => 0,
    };
    same("turns after the last", &rest, &0)?;
    let turn = reader.turn(turn_id(1)).await.map_err(text)?.ok_or("the turn is not there")?;
    same("events said", &turn.events_said, &2)?;
    same("places", &turn.events.iter().map(|event| event.place).collect::<Vec<_>>(), &vec![0, 1])?;
    same("events that decode", &turn.events.iter().filter(|event| event.row.is_ok()).count(), &2)?;
    same("calls", &turn.calls.len(), &0)?;
    let messages = reader.messages(i64::MIN, 10).await.map_err(text)?;
    same("messages", &messages.iter().map(|message| message.place).collect::<Vec<_>>(), &vec![0])?;
    same("messages after the last", &reader.messages(0, 10).await.map_err(text)?.len(), &0)?;
    same("a turn that is not there", &reader.turn(turn_id(9)).await.map_err(text)?.is_none(), &true)
}

pub(super) async fn all_sessions_are_found_page_by_page(stores: Stores) -> Outcome {
    for name in ["b", "a", "c"] {
        open_session(&stores, name).await?;
    }
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = stores.upkeep.session_ids(found.last().map(String::as_str), 2).await.map_err(text)?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    same("ids", &found, &["a", "b", "c"].map(str::to_owned).to_vec())?;
    same("one that is not there", &stores.upkeep.read("d").await.map_err(text)?.is_none(), &true)
}

pub(super) async fn only_idle_sessions_are_removed(stores: Stores) -> Outcome {
    let (idle, busy) = (open_session(&stores, "idle").await?, open_session(&stores, "busy").await?);
    open_session(&stores, "empty").await?;
    ended(&stores, &idle, 1).await?;
    start(&stores, &busy, 2, "hello").await?;
    let list = async |before, after: Option<&SessionId>, limit| -> Result<Vec<String>, String> {
        let found = stores.upkeep.idle(before, after, limit).await.map_err(text)?;
        Ok(found.iter().map(ToString::to_string).collect())
    };
    same("none is that old", &list(at(0), None, 10).await?, &Vec::new())?;
    same("used before", &list(at(1), None, 10).await?, &vec!["empty".to_owned()])?;
    same("idle", &list(at(60), None, 10).await?, &["empty", "idle"].map(str::to_owned).to_vec())?;
    same("after one", &list(at(60), Some(&busy.id), 1).await?, &vec!["empty".to_owned()])?;

    let all = [busy.id.clone(), idle.id.clone()];
    let removed = stores.upkeep.remove_idle(&all, at(1)).await.map_err(text)?;
    same("used since", &removed, &Removed::default())?;
    let removed = stores.upkeep.remove_idle(&all, at(60)).await.map_err(text)?;
    same("removed", &removed, &Removed { sessions: 1, turns: 1, messages: 1 })?;
    same("the busy one", &stores.sessions.get(&busy.id).await.map_err(text)?.is_some(), &true)?;
    same("the idle one", &stores.sessions.get(&idle.id).await.map_err(text)?.is_none(), &true)
}

pub(super) async fn what_a_database_does_itself_is_refused_by_name(stores: Stores) -> Outcome {
    match stores.upkeep.vacuum().await {
        Ok(_) => Ok(()),
        Err(Error::Unsupported { instead, .. }) if !instead.is_empty() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
