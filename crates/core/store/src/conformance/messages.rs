//! Messages.

use loom_base::{CallId, NanoUsd};
use loom_llm::{ContentBlock, Role};
use serde_json::json;

use super::Outcome;
use super::fixture::{
    accept, at, finished, follow, message, message_id, open_session, reload, same, start, text, turn_id,
};
use crate::{MessageRecord, NewMessage, Page, SessionRecord, Stores};

/// A session with eleven messages of 10 tokens each.
async fn conversation(stores: &Stores) -> Result<SessionRecord, String> {
    let session = open_session(stores, "s").await?;
    start(stores, &session, 1, "hello").await?;
    let mut step = follow(&session, 1, 1);
    step.messages = (1..11).map(|seq| message(1000 + u128::from(seq), seq, "more")).collect();
    stores.turns.advance(step).await.map_err(text)?;
    Ok(session)
}

fn places(records: &[MessageRecord]) -> Vec<u64> {
    records.iter().map(|record| record.message.seq).collect()
}

pub(super) async fn messages_are_listed_in_order_and_paged(stores: Stores) -> Outcome {
    let session = conversation(&stores).await?;
    let all = stores.messages.list(&session.id, Page::new(0, 0)).await.map_err(text)?;
    same("all", &(places(&all.items), all.total), &((0..11).collect(), 11))?;
    let page = stores.messages.list(&session.id, Page::new(4, 3)).await.map_err(text)?;
    same("a page", &(places(&page.items), page.total), &(vec![4, 5, 6], 11))?;
    let beyond = stores.messages.list(&session.id, Page::new(11, 3)).await.map_err(text)?;
    same("past the end", &(places(&beyond.items), beyond.total), &(Vec::new(), 11))
}

pub(super) async fn recent_messages_fit_a_budget_and_show_what_does_not(stores: Stores) -> Outcome {
    let session = conversation(&stores).await?;
    let recent = async |from, tokens| {
        Ok::<_, String>(places(&stores.messages.recent(&session.id, from, tokens).await.map_err(text)?))
    };
    same("what fits, and one more", &recent(0, 30).await?, &vec![7, 8, 9, 10])?;
    same("not quite another", &recent(0, 39).await?, &vec![7, 8, 9, 10])?;
    same("no room", &recent(0, 0).await?, &vec![10])?;
    same("room for all", &recent(0, 110).await?, &(0..11).collect())?;
    same("endless room", &recent(0, u64::MAX).await?, &(0..11).collect())?;
    same("not before a place", &recent(9, 100).await?, &vec![9, 10])?;
    same("after all", &recent(11, 100).await?, &Vec::new())
}

/// A value as deep as a parser of untrusted JSON lets it be.
fn deep() -> serde_json::Value {
    (0..126).fold(json!(1), |inner, _| json!([inner]))
}

pub(super) async fn content_survives_whatever_it_is(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let said = NewMessage {
        id: message_id(1000),
        seq: 0,
        role: Role::Assistant,
        content: vec![
            ContentBlock::text("\0\u{1}\u{7f}\u{feff}\u{202e} 'quoted' \"twice\" \\ 🧶 \r\n"),
            ContentBlock::Image { media_type: "image/png".into(), data: "iVBORw0KGgo=".into() },
            ContentBlock::Document {
                media_type: "application/pdf".into(),
                data: "JVBERi0=".into(),
                title: None,
            },
            ContentBlock::ToolUse {
                id: CallId::new("c\u{1F600}"),
                name: "query".into(),
                input: json!({ "b": [1, -2.5, 1e300, 9_007_199_254_740_993_u64, u64::MAX, i64::MIN], "a": { "": null } }),
            },
            ContentBlock::ToolUse { id: CallId::new("d"), name: "deep".into(), input: deep() },
            ContentBlock::ToolResult { id: CallId::new("c"), content: "".into(), is_error: true },
            ContentBlock::Thinking { text: "hm".into(), signature: Some("c2ln".into()) },
        ],
        beside: vec![ContentBlock::text("a pattern")],
        tokens: 12_345,
        cost: NanoUsd::from_nanos(42),
        created_at: at(3),
    };
    let mut step = accept(&session, 1, "replaced")?;
    step.messages = vec![said.clone()];
    stores.turns.advance(step).await.map_err(text)?;
    let found = stores.messages.list(&session.id, Page::new(0, 0)).await.map_err(text)?;
    let expected = MessageRecord { session: session.id.clone(), turn: turn_id(1), message: said };
    same("the message", &found.items, &vec![expected.clone()])?;
    let recent = stores.messages.recent(&session.id, 0, 1).await.map_err(text)?;
    same("the recent message", &recent, &vec![expected])
}

pub(super) async fn the_messages_of_a_turn_are_found(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    start(&stores, &session, 1, "hello").await?;
    let mut step = follow(&session, 1, 1);
    step.messages = vec![message(1001, 1, "one"), message(1002, 2, "two")];
    step.end = Some(finished(message_id(1002)));
    stores.turns.advance(step).await.map_err(text)?;
    let next = reload(&stores, &session).await?;
    start(&stores, &next, 2, "more").await?;
    let found = async |opening, most| -> Result<Vec<u64>, String> {
        let found = stores.messages.of_turn(message_id(opening), most).await.map_err(text)?;
        Ok(found.iter().map(|record| record.message.seq).collect())
    };
    same("the first turn", &found(1000, 10).await?, &vec![0, 1, 2])?;
    same("two of it", &found(1000, 2).await?, &vec![0, 1])?;
    same("the second turn", &found(2000, 10).await?, &vec![3])?;
    same("of none", &found(7, 10).await?, &Vec::new())
}
