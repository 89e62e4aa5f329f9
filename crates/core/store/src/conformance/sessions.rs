//! Sessions.

use loom_base::SessionId;

use super::Outcome;
use super::fixture::{
    accept, agent_id, at, ensure, finished, follow, message, message_id, new_session, open_session, refused,
    reload, same, session_id, start, text, turn_id,
};
use crate::{
    AgentTotals, CallChange, Error, Page, SearchQuery, SessionFilter, SessionState, SessionTotals, Stores,
};

pub(super) async fn a_created_session_is_found_as_created(stores: Stores) -> Outcome {
    let created = open_session(&stores, "s-1").await?;
    let new = new_session("s-1")?;
    same("metadata", &created.metadata, &new.metadata)?;
    same("name", &created.name, &new.name)?;
    same("owner", &(created.principal.as_str(), created.backend.as_str()), &("local", "shop"))?;
    same("state", &created.state, &SessionState::Active)?;
    same("times", &(created.created_at, created.last_active), &(at(0), at(0)))?;
    same("totals", &created.totals, &SessionTotals::default())?;
    same("places", &(created.context_start, created.next_message), &(0, 0))?;
    same("the stored session", &reload(&stores, &created).await?, &created)?;
    let nobody = stores.sessions.get(&session_id("nobody")?).await.map_err(text)?;
    same("an unknown session", &nobody, &None)
}

pub(super) async fn an_id_is_taken_once(stores: Stores) -> Outcome {
    let first = open_session(&stores, "s-1").await?;
    let again = crate::NewSession { name: "another".to_owned(), ..new_session("s-1")? };
    refused!(stores.sessions.create(again).await, Error::Exists { .. })?;
    same("the first", &reload(&stores, &first).await?, &first)
}

async fn ids(stores: &Stores, filter: &SessionFilter, page: Page) -> Result<(Vec<SessionId>, u64), String> {
    let listed = stores.sessions.list(filter, page).await.map_err(text)?;
    Ok((listed.items.into_iter().map(|session| session.id).collect(), listed.total))
}

pub(super) async fn sessions_are_listed_by_activity(stores: Stores) -> Outcome {
    let early = open_session(&stores, "early").await?;
    open_session(&stores, "late").await?;
    let mut step = accept(&early, 1, "hello")?;
    step.at = at(50);
    stores.turns.advance(step).await.map_err(text)?;
    let (found, total) = ids(&stores, &SessionFilter::default(), Page::new(0, 0)).await?;
    same("order", &found, &vec![session_id("early")?, session_id("late")?])?;
    same("total", &total, &2)?;
    same("last activity", &reload(&stores, &early).await?.last_active, &at(50))
}

pub(super) async fn sessions_are_filtered_and_paged(stores: Stores) -> Outcome {
    for number in 0..7 {
        let mut new = new_session(&format!("s-{number}"))?;
        new.created_at = at(100 - number);
        new.agent = agent_id(if number % 2 == 0 { "even" } else { "odd" })?;
        new.backend = if number < 2 { "first".to_owned() } else { "second".to_owned() };
        stores.sessions.create(new).await.map_err(text)?;
    }
    let all = SessionFilter::default();
    let expected = vec![session_id("s-2")?, session_id("s-3")?, session_id("s-4")?];
    same("a page", &ids(&stores, &all, Page::new(2, 3)).await?, &(expected, 7))?;
    same("past the end", &ids(&stores, &all, Page::new(9, 3)).await?, &(Vec::new(), 7))?;
    let even = SessionFilter { agent: Some(agent_id("even")?), ..SessionFilter::default() };
    let (found, total) = ids(&stores, &even, Page::new(0, 2)).await?;
    same("of an agent", &(found, total), &(vec![session_id("s-0")?, session_id("s-2")?], 4))?;
    let both = SessionFilter { backend: Some("first".to_owned()), ..even };
    same("of a backend too", &ids(&stores, &both, Page::new(0, 0)).await?, &(vec![session_id("s-0")?], 1))?;
    let foreign = SessionFilter { principal: Some("somebody".to_owned()), ..SessionFilter::default() };
    same("of somebody else", &ids(&stores, &foreign, Page::new(0, 0)).await?, &(Vec::new(), 0))?;
    let own = SessionFilter { principal: Some("local".to_owned()), ..SessionFilter::default() };
    same("of their owner", &ids(&stores, &own, Page::new(0, 0)).await?.1, &7)?;
    let ended = SessionFilter { state: Some(SessionState::Ended), ..SessionFilter::default() };
    same("ended ones", &ids(&stores, &ended, Page::new(0, 0)).await?, &(Vec::new(), 0))?;
    let active = SessionFilter { state: Some(SessionState::Active), ..SessionFilter::default() };
    same("active ones", &ids(&stores, &active, Page::new(0, 0)).await?.1, &7)
}

pub(super) async fn agents_have_totals(stores: Stores) -> Outcome {
    same(
        "of nothing",
        &stores.sessions.totals_by_agent().await.map_err(text)?,
        &std::collections::BTreeMap::new(),
    )?;
    let session = open_session(&stores, "s-1").await?;
    open_session(&stores, "s-2").await?;
    let other = crate::NewSession { agent: agent_id("b")?, ..new_session("s-3")? };
    stores.sessions.create(other).await.map_err(text)?;
    start(&stores, &session, 1, "hello").await?;
    let totals = stores.sessions.totals_by_agent().await.map_err(text)?;
    let of = |name: &str| Ok::<_, String>(totals.get(&agent_id(name)?).copied());
    same("of a", &of("a")?, &Some(AgentTotals { active_sessions: 2, messages: 1 }))?;
    same("of b", &of("b")?, &Some(AgentTotals { active_sessions: 1, messages: 0 }))?;
    same("of nobody", &of("nobody")?, &None)
}

pub(super) async fn deletion_removes_all_of_a_session(stores: Stores) -> Outcome {
    let (gone, kept) = (open_session(&stores, "gone").await?, open_session(&stores, "kept").await?);
    start(&stores, &kept, 2, "walrus").await?;
    start(&stores, &gone, 1, "walrus").await?;
    stores.messages.index_more(100).await.map_err(text)?;
    let mut step = follow(&gone, 1, 1);
    step.messages = vec![message(1001, 1, "walrus again")];
    step.calls = vec![CallChange::Asked {
        message: message_id(1001),
        call: loom_base::CallId::new("c"),
        tool: "t".to_owned(),
        arguments: serde_json::Value::Null,
        class: loom_tools::EffectClass::Pure,
    }];
    step.end = Some(finished(message_id(1001)));
    stores.turns.advance(step).await.map_err(text)?;

    ensure(stores.sessions.delete(&gone.id).await.map_err(text)?, || "nothing was deleted".to_owned())?;
    ensure(!stores.sessions.delete(&gone.id).await.map_err(text)?, || "it was deleted twice".to_owned())?;
    same("the session", &stores.sessions.get(&gone.id).await.map_err(text)?, &None)?;
    same("its journal", &stores.turns.journal(turn_id(1)).await.map_err(text)?, &None)?;
    let listed = stores.messages.list(&gone.id, Page::new(0, 0)).await.map_err(text)?;
    same("its messages", &(listed.items.len(), listed.total), &(0, 0))?;
    let calls = stores.turns.calls_of(&gone.id, &[message_id(1001)]).await.map_err(text)?;
    same("its calls", &calls, &Vec::new())?;
    let query = SearchQuery { text: "walrus".to_owned(), session: None, limit: 10 };
    for moment in ["before", "after"] {
        let hits = stores.messages.search(&query).await.map_err(text)?;
        let sessions: Vec<_> = hits.into_iter().map(|hit| hit.record.session).collect();
        same(&format!("hits {moment} indexing"), &sessions, &vec![kept.id.clone()])?;
        stores.messages.index_more(100).await.map_err(text)?;
    }
    // What was freed can be used again, and is indexed again.
    let back = open_session(&stores, "gone").await?;
    start(&stores, &back, 1, "walrus returns").await?;
    stores.messages.index_more(100).await.map_err(text)?;
    same("hits after its return", &stores.messages.search(&query).await.map_err(text)?.len(), &2)
}
