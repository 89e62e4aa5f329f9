//! What is said, and which calls lead to it.

use std::sync::Arc;

use loom_llm::{Chunk, FinishReason, LlmProvider, Message, Role, ToolRole, estimate_text};
use loom_llm_offline::OfflineProvider;
use serde_json::json;

use crate::{HOSPITAL, MUSIC_SHOP, PATTERNS, Session, found, no_rows, request, streamed, tools};

#[tokio::test]
async fn an_answer_shows_the_rows_and_how_they_came_about() {
    let rows = json!({
        "columns": ["FirstName", "Total"],
        "rows": [["Helena Holý", 49.620_000_000_000_005], ["Richard Cunningham", 47.62], ["Luis Rojas", 46]],
        "row_count": 3, "truncated": false, "pattern": "top_by_measure", "query": "SELECT", "parameters": [5],
    });
    let mut session = Session::default();
    let text = session.ask("Who are the top 5 customers by total spend?", &found(MUSIC_SHOP, rows)).await;
    assert_eq!(
        text,
        "| FirstName          | Total |
| ------------------ | ----: |
| Helena Holý        | 49.62 |
| Richard Cunningham | 47.62 |
| Luis Rojas         |    46 |

I used the pattern Top N by the sum of a measure (`top_by_measure`) with label = Customer.FirstName and \
Customer.LastName, measure = Invoice.Total, limit = 5, joining Invoice → Customer over foreign keys. No language \
model was involved: the words of the question were matched with names in the database schema."
    );
    let roles: Vec<ToolRole> = session.calls.iter().map(|(role, _)| *role).collect();
    assert_eq!(roles, [ToolRole::SearchPatterns, ToolRole::Schema, ToolRole::RunPattern]);
    assert_eq!(session.calls[0].1["question"], "Who are the top 5 customers by total spend?");
}

#[tokio::test]
async fn it_looks_things_up_at_once_and_in_parallel() {
    let messages = [Arc::new(Message::text(Role::User, "How many customers are there?"))];
    let provider = OfflineProvider::new();
    let completion = provider.complete(request(&messages, tools(), 3)).await.unwrap();
    assert_eq!(completion.finish, FinishReason::ToolUse);
    let message = Message { role: Role::Assistant, content: completion.content };
    let calls: Vec<_> = message.tool_uses().map(|(id, name, _)| (id.to_string(), name.to_owned())).collect();
    assert_eq!(calls, [("offline_3_0".into(), "tool_a".into()), ("offline_3_1".into(), "tool_b".into())]);
    assert!(completion.usage.input > 0 && completion.usage.output > 0);
}

#[tokio::test]
async fn a_follow_up_reads_the_schema_no_second_time() {
    let mut session = Session::default();
    let tool = found(MUSIC_SHOP, no_rows());
    session.ask("How many customers are there?", &tool).await;
    let text = session.ask("And how many genres?", &tool).await;
    assert!(text.contains("table = Genre"), "{text}");
    let count = |wanted| session.calls.iter().filter(|(role, _)| *role == wanted).count();
    assert_eq!(
        (count(ToolRole::Schema), count(ToolRole::SearchPatterns), count(ToolRole::RunPattern)),
        (1, 2, 2)
    );
}

#[tokio::test]
async fn words_left_out_are_named() {
    let mut session = Session::default();
    let text = session.ask("Show the overall average invoice total", &found(MUSIC_SHOP, no_rows())).await;
    assert!(text.contains("I ignored: overall."), "{text}");
    assert!(text.contains("found no rows"), "{text}");
}

#[tokio::test]
async fn words_of_unknown_meaning_are_not_left_out() {
    for (question, unknown) in [
        ("How many customers bought something?", "bought, something"),
        ("How many active customers are there?", "active"),
        ("How many tracks were sold?", "sold"),
    ] {
        let mut session = Session::default();
        let text = session.ask(question, &found(MUSIC_SHOP, no_rows())).await;
        assert!(text.contains(&format!("what to do with: {unknown}.")), "{text}");
        assert_eq!(session.runs().len(), 0, "{text}");
    }
}

#[tokio::test]
async fn as_many_rows_as_a_pattern_shows_may_not_be_all() {
    let rows = |count: usize| {
        let rows: Vec<_> = (0..count).map(|row| json!([format!("row {row}"), row])).collect();
        json!({"columns": ["name", "n"], "rows": rows, "row_count": count, "truncated": false})
    };
    let cases = [
        ("Which artists have the most albums?", 10, true),
        ("Which artists have the most albums?", 9, false),
        ("Which 10 artists have the most albums?", 10, false),
    ];
    for (question, count, may_be_more) in cases {
        let text = Session::default().ask(question, &found(MUSIC_SHOP, rows(count))).await;
        assert_eq!(text.contains("There may be more"), may_be_more, "{question} {count}: {text}");
    }
}

/// The schema tool on a schema that is shown by its names only, until tables are asked for.
fn large(all: &str, input: &serde_json::Value) -> Result<String, String> {
    let all: serde_json::Value = serde_json::from_str(all).map_err(|error| error.to_string())?;
    let tables = all["tables"].as_array().cloned().unwrap_or_default();
    let shown: Vec<_> = match input["tables"].as_array() {
        Some(asked) => tables.into_iter().filter(|table| asked.contains(&table["name"])).collect(),
        None => tables.iter().map(|table| json!({"name": table["name"]})).collect(),
    };
    let mut answer = json!({"dialect": "sqlite", "tables": shown});
    if input["tables"].is_null() {
        answer["note"] = "the tables are shown without their columns: ask for those you need by name".into();
    }
    Ok(answer.to_string())
}

#[tokio::test]
async fn columns_that_the_schema_left_out_are_asked_for() {
    let tool = |role: ToolRole, input: &serde_json::Value| match role {
        ToolRole::SearchPatterns => Ok(PATTERNS.to_owned()),
        ToolRole::Schema => large(MUSIC_SHOP, input),
        _ => Ok(no_rows().to_string()),
    };
    let mut session = Session::default();
    let text = session.ask("What is the average track unit price by genre?", &tool).await;
    let asked: Vec<_> = session.calls.iter().filter(|(role, _)| *role == ToolRole::Schema).collect();
    let named = |at: usize| asked[at].1["tables"].as_array().unwrap();
    assert!(named(1).contains(&json!("Track")) && named(1).contains(&json!("Genre")), "{asked:?}");
    assert!(!named(1).contains(&json!("Employee")), "{asked:?}");
    assert!(named(2).contains(&json!("Album")) && !named(2).contains(&json!("Track")), "{asked:?}");
    assert_eq!(session.runs()[0]["parameters"]["measure"], "Track.UnitPrice", "{text}");
    assert!(text.contains("too large to be shown to me whole: I know the names of 11 tables"), "{text}");

    let before = session.calls.len();
    session.ask("And what is the average track unit price by genre?", &tool).await;
    assert!(session.calls[before..].iter().all(|(role, _)| *role != ToolRole::Schema), "{:?}", session.calls);
}

#[tokio::test]
async fn columns_that_never_come_are_not_asked_for_twice() {
    let tool = |role: ToolRole, input: &serde_json::Value| match role {
        ToolRole::SearchPatterns => Ok(PATTERNS.to_owned()),
        ToolRole::Schema if input["tables"].is_null() => large(MUSIC_SHOP, input),
        ToolRole::Schema => Err("the catalog is gone".to_owned()),
        _ => Ok(no_rows().to_string()),
    };
    let mut session = Session::default();
    let text = session.ask("What is the average track unit price by genre?", &tool).await;
    assert_eq!(session.calls.iter().filter(|(role, _)| *role == ToolRole::Schema).count(), 2);
    assert!(text.contains("the columns of 0 of them"), "{text}");
}

#[tokio::test]
async fn a_cut_result_says_so() {
    let rows: Vec<_> = (0..60).map(|row| json!([format!("row {row}"), row])).collect();
    let rows = json!({"columns": ["name", "n"], "rows": rows, "row_count": 60, "truncated": true});
    let mut session = Session::default();
    let text = session.ask("Which artists have the most albums?", &found(MUSIC_SHOP, rows)).await;
    assert!(text.contains("| row 49 "), "{text}");
    assert!(!text.contains("| row 50 "), "{text}");
    assert!(text.contains("The first 50 of 60 rows are shown."), "{text}");
    assert!(text.contains("There are more rows"), "{text}");
}

#[tokio::test]
async fn after_an_error_the_next_best_is_tried_twice_at_most() {
    let tool = |role: ToolRole, input: &serde_json::Value| {
        match role {
        ToolRole::SearchPatterns => Ok(PATTERNS.replace("\"average\"", "\"mean\"").replace(
            "{\"patterns\": [",
            "{\"patterns\": [{\"name\": \"average\", \"title\": \"Average of a measure\", \"confidence\": 0.5, \"executable\": true, \
             \"parameters\": [{\"name\": \"measure\", \"type\": \"measure\", \"required\": true}]},",
        )),
        ToolRole::Schema => Ok(HOSPITAL.to_owned()),
        _ => Err(format!("no such function in {}", input["pattern"])),
    }
    };
    let mut session = Session::default();
    let text = session.ask("What is the average salary?", &tool).await;
    assert!((2..=3).contains(&session.runs().len()), "{text}");
    assert_eq!(session.runs()[0]["pattern"], "average");
    assert_eq!(session.runs()[1]["pattern"], "mean");
    assert!(text.contains("no such function in \"average\""), "{text}");
    assert!(text.contains("no such function in \"mean\""), "{text}");
}

#[tokio::test]
async fn a_lookup_that_fails_is_named() {
    for (broken, expected) in [(ToolRole::SearchPatterns, "`tool_a`"), (ToolRole::Schema, "`tool_b`")] {
        let tool = |role: ToolRole, _: &serde_json::Value| match role {
            _ if role == broken => Err("the index is gone".to_owned()),
            ToolRole::SearchPatterns => Ok(PATTERNS.to_owned()),
            _ => Ok(HOSPITAL.to_owned()),
        };
        let text = Session::default().ask("How many patients are there?", &tool).await;
        assert!(text.contains(expected) && text.contains("the index is gone"), "{text}");
    }
    let tool = |_: ToolRole, _: &serde_json::Value| Ok("<html>".to_owned());
    let text = Session::default().ask("How many patients are there?", &tool).await;
    assert!(text.contains("Reading the result of `tool_a`"), "{text}");
}

#[tokio::test]
async fn without_tools_it_says_what_it_needs() {
    let messages = [Arc::new(Message::text(Role::User, "How many customers are there?"))];
    let completion = OfflineProvider::new().complete(request(&messages, [].into(), 1)).await.unwrap();
    let text = Message { role: Role::Assistant, content: completion.content }.plain_text();
    assert!(text.contains("Attach a backend"), "{text}");
}

#[tokio::test]
async fn a_reply_arrives_word_by_word_with_its_usage() {
    let chunks = streamed(&[]).await;
    let said: Vec<&str> = chunks
        .iter()
        .filter_map(|chunk| match chunk {
            Chunk::Text { delta, .. } => Some(&**delta),
            _ => None,
        })
        .collect();
    assert_eq!(said[..3], ["Ask ", "me ", "a "]);
    let usage = chunks.iter().find_map(|chunk| match chunk {
        Chunk::Usage(usage) => Some(*usage),
        _ => None,
    });
    assert_eq!(usage.unwrap().output, estimate_text(&said.concat()));
}

#[tokio::test]
async fn what_was_cut_on_its_way_is_used_as_far_as_it_goes() {
    let rows: Vec<_> = (0..5).map(|row| json!([format!("row {row}"), row])).collect();
    let rows =
        json!({"columns": ["name", "n"], "rows": rows, "row_count": 5, "truncated": false}).to_string();
    let tool = |role: ToolRole, _: &serde_json::Value| {
        Ok(match role {
            ToolRole::SearchPatterns => PATTERNS.to_owned(),
            ToolRole::Schema => format!("{} [cut: 7000 of 7900 bytes shown]", &MUSIC_SHOP[..7_000]),
            _ => format!("{} [cut]", &rows[..rows.find("[\"row 3").unwrap()]),
        })
    };
    let text = Session::default().ask("Which artists have the most albums?", &tool).await;
    assert!(text.contains("| row 2 |") && text.contains("too long to be shown to me whole"), "{text}");
    let text = Session::default().ask("How many zebras are there?", &tool).await;
    assert!(text.contains("too large to be shown to me whole"), "{text}");
}
