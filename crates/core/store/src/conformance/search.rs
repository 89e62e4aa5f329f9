//! Finding messages by their words.

use loom_base::CallId;
use loom_llm::ContentBlock;

use super::Outcome;
use super::fixture::{accept, ensure, message, open_session, same, text};
use crate::{NewMessage, SearchQuery, SessionRecord, Stores};

/// Stores a turn whose messages say these things.
async fn say(stores: &Stores, session: &str, turn: u128, said: &[&str]) -> Result<SessionRecord, String> {
    let session = open_session(stores, session).await?;
    let mut step = accept(&session, turn, "")?;
    step.messages =
        (0_u64..).zip(said).map(|(seq, said)| message(turn * 1000 + u128::from(seq), seq, said)).collect();
    stores.turns.advance(step).await.map_err(text)?;
    Ok(session)
}

/// The places of the hits, in the order found.
async fn find(stores: &Stores, asked: &str) -> Result<Vec<u64>, String> {
    let query = SearchQuery { text: asked.to_owned(), session: None, limit: 100 };
    let hits = stores.messages.search(&query).await.map_err(text)?;
    Ok(hits.iter().map(|hit| hit.record.message.seq).collect())
}

async fn find_sorted(stores: &Stores, asked: &str) -> Result<Vec<u64>, String> {
    let mut found = find(stores, asked).await?;
    found.sort_unstable();
    Ok(found)
}

pub(super) async fn all_words_are_found_in_any_order(stores: Stores) -> Outcome {
    let said = [
        "The top five customers",
        "five more customers of the shop",
        "nothing of note",
        "ÄRGER in Köln, 49.62 €",
    ];
    say(&stores, "s", 1, &said).await?;
    for indexed in [false, true] {
        same("both words", &find_sorted(&stores, "customers five").await?, &vec![0, 1])?;
        same("whatever the case", &find_sorted(&stores, "TOP FIVE").await?, &vec![0])?;
        same("not only some", &find_sorted(&stores, "five note").await?, &Vec::new())?;
        same("whole words only", &find_sorted(&stores, "custom").await?, &Vec::new())?;
        same("other alphabets", &find_sorted(&stores, "köln ärger").await?, &vec![3])?;
        same("numbers", &find_sorted(&stores, "49.62").await?, &vec![3])?;
        same("no words at all", &find_sorted(&stores, " \n.,").await?, &Vec::new())?;
        if !indexed {
            same("indexed", &stores.messages.index_more(100).await.map_err(text)?, &4)?;
        }
    }
    Ok(())
}

pub(super) async fn nothing_in_a_query_is_special(stores: Stores) -> Outcome {
    let said = [
        "apples and pears",
        "apples or pears",
        "near the not so far apples",
        "a col words: 5% of_it; DROP TABLE",
    ];
    say(&stores, "s", 1, &said).await?;
    for indexed in [false, true] {
        for odd in
            ["\"", "*", "-", "(", ")", "^", ":", "''", "%", "_", "NEAR(", "{a b}", "\\", "\0", "+", ";", "🧶"]
        {
            find(&stores, odd).await.map_err(|error| format!("{odd:?}: {error}"))?;
        }
        let unclosed = find_sorted(&stores, "\"apples").await?;
        same("an open quote", &unclosed, &vec![0, 1, 2])?;
        same("AND is a word", &find_sorted(&stores, "apples AND pears").await?, &vec![0])?;
        same("OR is a word", &find_sorted(&stores, "apples OR pears").await?, &vec![1])?;
        same("NOT is a word", &find_sorted(&stores, "apples NOT far").await?, &vec![2])?;
        same("NEAR is a word", &find_sorted(&stores, "NEAR(apples far)").await?, &vec![2])?;
        same("a star is nothing", &find_sorted(&stores, "appl*").await?, &Vec::new())?;
        same("a minus is nothing", &find_sorted(&stores, "apples -pears").await?, &vec![0, 1])?;
        same("a column is a word", &find_sorted(&stores, "words:5").await?, &vec![3])?;
        if !indexed {
            stores.messages.index_more(100).await.map_err(text)?;
        }
    }
    Ok(())
}

pub(super) async fn found_before_and_after_indexing(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let mut step = accept(&session, 1, "")?;
    let result = |content: &str| ContentBlock::ToolResult {
        id: CallId::new("c"),
        content: content.into(),
        is_error: false,
    };
    let beside = |seq: u64| vec![ContentBlock::text(format!("aardvark {seq}"))];
    step.messages = (0..10)
        .map(|seq| NewMessage { beside: beside(seq), ..message(1000 + u128::from(seq), seq, "walrus") })
        .map(|new| NewMessage { content: vec![result("walrus"), ContentBlock::text("seal")], ..new })
        .collect();
    stores.turns.advance(step).await.map_err(text)?;
    let all: Vec<_> = (0..10).collect();
    // Three at a time: each message is found once, wherever the index has come to.
    for indexed in [3, 3, 3, 1, 0] {
        same("hits", &find_sorted(&stores, "walrus").await?, &all)?;
        same("across blocks", &find_sorted(&stores, "seal walrus").await?, &all)?;
        same("what was sent beside", &find(&stores, "aardvark").await?, &Vec::new())?;
        same("indexed", &stores.messages.index_more(3).await.map_err(text)?, &indexed)?;
    }
    same("hits", &find_sorted(&stores, "walrus").await?, &all)
}

pub(super) async fn search_keeps_to_its_session_and_limit(stores: Stores) -> Outcome {
    let one = say(&stores, "one", 1, &["walrus", "walrus", "walrus"]).await?;
    stores.messages.index_more(2).await.map_err(text)?;
    say(&stores, "two", 2, &["walrus"]).await?;
    for _ in 0..2 {
        let mut query = SearchQuery { text: "walrus".to_owned(), session: Some(one.id.clone()), limit: 10 };
        let hits = stores.messages.search(&query).await.map_err(text)?;
        ensure(hits.len() == 3 && hits.iter().all(|hit| hit.record.session == one.id), || {
            format!("found {hits:?}")
        })?;
        query.limit = 2;
        same("limited", &stores.messages.search(&query).await.map_err(text)?.len(), &2)?;
        query.session = None;
        query.limit = 3;
        same("limited in all", &stores.messages.search(&query).await.map_err(text)?.len(), &3)?;
        stores.messages.index_more(100).await.map_err(text)?;
    }
    Ok(())
}

pub(super) async fn the_better_fit_comes_first(stores: Stores) -> Outcome {
    let long = format!("walrus {}", "and so on ".repeat(30));
    say(&stores, "s", 1, &[&long, "walrus walrus walrus", "no animal", "none", "nothing", "nobody"]).await?;
    stores.messages.index_more(100).await.map_err(text)?;
    same("order", &find(&stores, "walrus").await?, &vec![1, 0])?;
    let query = SearchQuery { text: "walrus".to_owned(), session: None, limit: 10 };
    let scores: Vec<_> =
        stores.messages.search(&query).await.map_err(text)?.iter().map(|hit| hit.score).collect();
    ensure(scores.is_sorted_by(|a, b| a > b), || format!("scores fall: {scores:?}"))
}
