//! One turn, from the question to its trace.

use std::sync::Arc;

use futures::StreamExt;
use loom_embed::base::ErrorCode;
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{AgentDefinition, PatternChoice, Progress, TurnRequest};
use loom_embed::sql::{SqlOptions, SqliteBackend, create_sqlite};
use loom_embed::{AskError, Loom, SystemClock};

use crate::setup::{PATIENCE, agent, folder, loom, loom_with};

const ADDS: &str = "
rules:
  - when: { contains: sum }
    reply: { tool_calls: [{ name: add, arguments: { a: 19, b: 23 } }], usage: { input: 100, output: 10 } }
  - when: { contains: sum, after_tool: add }
    reply: { text: 'It is {{tool_result}}.', usage: { input: 200, output: 20, cache_read: 50 } }
default: { text: 'hello there' }
chunk_size: 4
";

#[tokio::test]
async fn a_tool_turn_is_answered_streamed_traced_and_paid_once() {
    let folder = folder();
    let loom = loom(folder.path(), ADDS).await;
    let running = loom.start(TurnRequest::new("what is the sum?")).await.unwrap();
    let items: Vec<_> = std::sync::Arc::clone(&running.feed).read(None).collect().await;
    let streamed: String = items
        .iter()
        .filter_map(|item| match &item.progress {
            Progress::Delta(delta) => Some(delta.to_string()),
            _ => None,
        })
        .collect();
    let result = running.end().await.unwrap();
    assert_eq!(result.text, "It is {\"sum\":42}.");
    assert_eq!(streamed, result.text);
    assert!(items.is_sorted_by(|a, b| a.id < b.id), "{items:?}");
    assert_eq!(result.report.spent.usage.total(), 380);
    assert_eq!((result.report.spent.model_calls, result.report.spent.tool_calls), (2, 1));

    let trace = loom.runtime().traces().get(&running.trace.to_string()).await.unwrap();
    let names: Vec<_> = trace.spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["invoke_agent", "chat script-1", "execute_tool add", "chat script-1"]);
    assert!(trace.spans.iter().all(|span| span.status == "ok"));
    assert!(trace.spans[1..].iter().all(|span| span.parent == trace.spans[0].id));
    assert_eq!((trace.usage, trace.cost), (result.report.spent.usage, result.report.spent.cost));
    // 300 read, 30 written, 50 from the cache, at 1, 2 and 0.10 dollars for a million.
    assert_eq!(trace.cost.as_nanos(), 300 * 1_000 + 30 * 2_000 + 50 * 100);
    let by_turn = loom.runtime().traces().get(&running.turn.to_string()).await.unwrap();
    assert_eq!(by_turn.id, trace.id);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_and_the_next_one_works() {
    let folder = folder();
    let loom = loom(folder.path(), ADDS).await;
    let refused = |request: TurnRequest| {
        let loom = &loom;
        async move { loom.start(request).await.unwrap_err().code }
    };
    assert_eq!(refused(TurnRequest::new("  \n")).await, ErrorCode::EmptyQuery);
    assert_eq!(refused(TurnRequest::new("hi").to_agent("nobody")).await, ErrorCode::AgentNotFound);
    let unknown = TurnRequest { force_pattern: Some("no-such".into()), ..TurnRequest::new("hi") };
    assert_eq!(refused(unknown).await, ErrorCode::PatternNotFound);
    assert_eq!(refused(TurnRequest::new("x".repeat(2 << 20))).await, ErrorCode::TooLarge);
    assert_eq!(loom.ask("hi").await.unwrap().text, "hello there");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn without_a_provider_a_turn_fails_with_the_cure_and_stores_nothing() {
    let folder = folder();
    let loom = loom_embed::Loom::builder().data_dir(folder.path()).agent(agent()).build().await.unwrap();
    let Err(AskError::Refused(error)) = loom.ask("hi").await else { panic!("it cannot have been accepted") };
    assert_eq!(error.code, ErrorCode::NoProvider);
    assert!(error.message.contains("llm.provider"), "{error}");
    let page = loom_store::Page::new(0, 0);
    let sessions = loom.runtime().sessions().list(&loom_store::SessionFilter::default(), page).await.unwrap();
    assert_eq!(sessions.total, 0);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_cancelled_turn_ends_at_once_and_the_session_goes_on() {
    let folder = folder();
    let script = "
rules: [{ when: { contains: slow }, reply: { text: never said, latency_ms: 600000 } }]
default: { text: 'still here' }
";
    let loom = loom(folder.path(), script).await;
    let running = loom.start(TurnRequest::new("a slow one")).await.unwrap();
    running.cancel();
    let failure = running.end().await.unwrap_err();
    assert_eq!(failure.error.code, ErrorCode::Cancelled);
    let next = TurnRequest::new("and now?").in_session(running.session.clone());
    assert_eq!(loom.start(next).await.unwrap().end().await.unwrap().text, "still here");
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_out_of_time_says_so_and_keeps_what_it_did() {
    let folder = folder();
    let mut hurried = agent();
    hurried.behavior.timeout = std::time::Duration::from_millis(50);
    let script = "default: { text: late, latency_ms: 600000 }";
    let loom = loom_with(folder.path(), script, hurried).await;
    let Err(AskError::Failed(failure)) = loom.ask("hello?").await else {
        panic!("there is no time to answer")
    };
    assert_eq!(failure.error.code, ErrorCode::DeadlineExceeded);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn what_a_provider_does_not_count_is_estimated_and_marked() {
    let folder = folder();
    let script = "
rules: [{ when: { contains: counted }, reply: { text: hello, usage: { input: 7, output: 3 } } }]
default: { text: 'hello there', usage: { input: 0, output: 0 } }
";
    let loom = loom(folder.path(), script).await;
    for (question, marked) in [("a counted one", false), ("another", true)] {
        let running = loom.start(TurnRequest::new(question)).await.unwrap();
        let spent = running.end().await.unwrap().report.spent;
        assert!(spent.usage.input > 0 && spent.usage.output > 0 && spent.cost.as_nanos() > 0, "{spent:?}");
        let trace = loom.runtime().traces().get(&running.trace.to_string()).await.unwrap();
        assert_eq!(trace.usage, spent.usage);
        for span in &trace.spans {
            let mark = span.attributes.get("loom.usage.estimated").map(String::as_str);
            assert_eq!(mark, marked.then_some("true"), "{question}: {}", span.name);
        }
    }
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_trace_shows_all_the_turns_that_a_caller_ran_under_it_and_a_turn_itself_alone() {
    let folder = folder();
    let loom = loom(folder.path(), ADDS).await;
    let trace = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
    let mut turns = Vec::new();
    let mut tokens = 0;
    for question in ["hi", "what is the sum?"] {
        let under = Some((trace, "b7ad6b7169203331".to_owned()));
        let running = loom.start(TurnRequest { trace: under, ..TurnRequest::new(question) }).await.unwrap();
        tokens += running.end().await.unwrap().report.spent.usage.total();
        turns.push(running.turn);
    }
    let traces = loom.runtime().traces();
    let whole = traces.get(&trace.to_string()).await.unwrap();
    let tops: Vec<_> = whole.spans.iter().filter(|span| span.parent == "b7ad6b7169203331").collect();
    let of_tops: Vec<_> = tops.iter().map(|span| span.attributes["loom.turn.id"].clone()).collect();
    assert_eq!(of_tops, [turns[0].to_string(), turns[1].to_string()]);
    assert_eq!((whole.spans[0].id == tops[0].id, whole.turn), (true, turns[0]));
    assert_eq!((whole.spans.len(), whole.usage.total()), (2 + 4, tokens));
    assert_eq!(whole.duration(), tops[1].ended_at.since(tops[0].started_at));
    for (turn, spans) in [(turns[0], 2), (turns[1], 4)] {
        assert_eq!(traces.get(&turn.to_string()).await.unwrap().spans.len(), spans);
    }
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_pattern_for_another_engine_is_not_put_beside_the_question() {
    let folder = folder();
    let file = folder.path().join("shop.db");
    create_sqlite(&file, "CREATE TABLE product (name TEXT)").await.unwrap();
    let shop =
        SqliteBackend::open("shop", &file, SqlOptions::default(), Arc::new(SystemClock)).await.unwrap();
    let provider = MockProvider::new(Script::parse(ADDS).unwrap(), Arc::new(SystemClock));
    let plain = AgentDefinition { patterns: PatternChoice::default(), ..agent() };
    let on_shop = AgentDefinition { name: "shop".into(), backends: vec!["shop".into()], ..plain.clone() };
    let loom = Loom::builder()
        .data_dir(folder.path().join("data"))
        .provider("scripted", "script-1", Arc::new(provider))
        .backend(Arc::new(shop))
        .agent(plain)
        .agent(on_shop)
        .build()
        .await
        .unwrap();
    let mut used = Vec::new();
    for agent in ["tester", "shop"] {
        let request = TurnRequest::new("Which tables have many sequential scans?");
        let running = loom.start(TurnRequest { agent: Some(agent.into()), ..request }).await.unwrap();
        let pattern = running.end().await.unwrap().report.pattern.clone();
        used.push(pattern.map(|pattern| pattern.name));
    }
    assert_eq!(used[0].as_deref(), Some("sequential_scans"));
    assert_ne!(used[1].as_deref(), Some("sequential_scans"));
    loom.close(PATIENCE).await;
}
