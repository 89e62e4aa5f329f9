//! Clients that lose their server and find their turn again.

use std::process::Stdio;
use std::sync::Arc;

use ::http::Method;
use futures::StreamExt as _;
use loom_embed::{SystemClock, SystemIds};
use loom_grpc::v1::{ExecutionStage, WeaveRequest};
use loom_grpc::{CONNECT_TIMEOUT, Client, RequestKey};
use loom_testkit::{ProviderFake, Reply};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::home::{Home, Said};
use crate::http::SseEvent;
use crate::serving::{Serving, until};

/// An answer of which all but the first piece takes its time.
const SLOW: &str = "
chunk_size: 6
chunk_delay_ms: 600000
default: { text: 'the whole answer' }
";
const AT_ONCE: &str = "default: { text: 'the whole answer' }";

/// A model that calls a tool, begins an answer and says no more, and once it is asked again says all of it.
async fn stalling() -> (ProviderFake, Home) {
    let arguments = r#"{"question":"top"}"#;
    let script = vec![
        Reply::tool_calls([("c1", "search_patterns", arguments)]),
        Reply::text("the whole answer").stall_after_events(2),
        Reply::text("the whole answer"),
    ];
    let fake = ProviderFake::ollama(script).await.unwrap();
    let home = Home::asking(&fake.base_url());
    (fake, home)
}

fn deltas(events: &[SseEvent]) -> String {
    events.iter().filter_map(|event| event.data["delta"].as_str()).collect()
}

fn ids(events: &[SseEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

/// A turn that has called its tool and said the first piece of its answer: its path, and what was seen.
async fn half_answered(server: &Serving) -> (String, Vec<SseEvent>) {
    let asked = json!({ "query": "use tools", "streamMode": "STREAM_MODE_DELTA" });
    let mut stream = server.http.stream("/v1/chat:stream", asked).await;
    let mut seen = Vec::new();
    while deltas(&seen).is_empty() {
        seen.push(stream.next().await.unwrap());
    }
    let path =
        format!("/v1/turns/{}:stream?streamMode=STREAM_MODE_DELTA", seen[0].data["turnId"].as_str().unwrap());
    (path, seen)
}

#[tokio::test]
async fn a_client_whose_server_is_killed_sees_the_whole_answer_of_the_next() {
    let server = Serving::start(Home::playing(SLOW)).await;
    let client =
        Client::connect(&server.grpc.to_string(), CONNECT_TIMEOUT, Arc::new(SystemClock)).await.unwrap();
    let asked = WeaveRequest { query: "hello".into(), ..WeaveRequest::default() };
    let mut stream = client.stream_weave(asked, Some(RequestKey::new(&SystemIds)));
    let mut text = String::new();
    while text.is_empty() {
        text.push_str(&stream.next().await.unwrap().unwrap().delta);
    }
    assert_eq!(text, "the wh");
    let server = server.kill_and_restart(|home| home.write("script.yaml", AT_ONCE)).await;
    let mut restarts = 0;
    let last = loop {
        let event = stream.next().await.unwrap().unwrap();
        if event.generation_restarted {
            restarts += 1;
            text.clear();
        }
        text.push_str(&event.delta);
        if event.stage() == ExecutionStage::Completed {
            break event;
        }
    };
    assert_eq!((restarts, text.as_str()), (1, "the whole answer"));
    assert_eq!(last.partial_content, text);
    assert!(stream.next().await.is_none());
    let history = server.http.get(&format!("/v1/sessions/{}/history", last.session_id)).await.ok();
    assert_eq!(history["totalCount"], 2, "one question and one answer: {history}");
}

#[tokio::test]
async fn a_stream_of_events_goes_on_after_any_of_them_in_the_same_process() {
    let (_model, home) = stalling().await;
    let server = Serving::start(home).await;
    let (path, seen) = half_answered(&server).await;
    for (position, event) in seen.iter().enumerate() {
        let mut stream = server.http.stream_after(&path, Some(&event.id)).await;
        for expected in &seen[position + 1..] {
            let next = stream.next().await.unwrap();
            assert_eq!((&next.id, &next.data["delta"]), (&expected.id, &expected.data["delta"]));
        }
    }
    let mut from_the_start = server.http.stream_after(&path, None).await;
    assert_eq!(from_the_start.next().await.unwrap().id, seen[0].id);
}

#[tokio::test]
async fn a_stream_of_events_goes_on_after_a_restart_and_repeats_no_journaled_one() {
    let (_model, home) = stalling().await;
    let server = Serving::start(home).await;
    let (path, seen) = half_answered(&server).await;
    let server = server.kill_and_restart(|_| {}).await;
    let last = &seen.last().unwrap().id;
    let rest = server.http.stream_after(&path, Some(last)).await.rest().await;
    assert_eq!(rest[0].data["generationRestarted"], true, "{rest:?}");
    assert!(rest[1..].iter().all(|event| event.data["generationRestarted"] != true), "{rest:?}");
    assert_eq!(deltas(&rest), "the whole answer");
    let stages: Vec<_> = rest.iter().map(|event| event.data["stage"].as_str().unwrap()).collect();
    assert!(!stages.contains(&"EXECUTION_STAGE_TOOL_EXECUTION"), "the tool was seen before: {stages:?}");
    let completed = rest.last().unwrap();
    assert_eq!(completed.data["partialContent"], "the whole answer");

    // Who saw only the tool begin is told how it ended, and the answer.
    let started = seen.iter().position(|event| event.data["isToolStarted"] == true).unwrap();
    let rest = server.http.stream_after(&path, Some(&seen[started].id)).await.rest().await;
    let ended: Vec<_> = rest.iter().filter(|event| event.data["isToolCompleted"] == true).collect();
    assert_eq!(ended.len(), 1, "{rest:?}");
    assert!(rest.iter().all(|event| event.data["isToolStarted"] != true), "{rest:?}");
    assert_eq!(rest.last().unwrap().data["partialContent"], "the whole answer");

    // Who saw the end is told nothing more; the turn can be told again from its beginning, the same each time.
    assert_eq!(server.http.stream_after(&path, Some(&completed.id)).await.rest().await, []);
    let whole = server.http.stream_after(&path, None).await.rest().await;
    assert_eq!(ids(&whole), ids(&server.http.stream_after(&path, None).await.rest().await));
    assert_eq!(whole.last(), Some(completed));
}

#[tokio::test]
async fn a_request_sent_again_under_its_key_is_the_same_turn_also_after_a_restart() {
    let server = Serving::start(Home::playing(AT_ONCE)).await;
    let ask = async |server: &Serving, query: &str, key: &str| {
        // Several, so that their order in a map shows.
        let context: Value =
            (0..8).map(|n| (format!("fact {n}"), json!("known"))).collect::<serde_json::Map<_, _>>().into();
        let body = json!({ "query": query, "context": context }).to_string();
        let headers = [("content-type", "application/json"), ("x-loom-idempotency-key", key)];
        server.http.send(Method::POST, "/v1/weave", &headers, body).await
    };
    let first = ask(&server, "hello", "k-1").await.ok();
    let again = ask(&server, "hello", "k-1").await.ok();
    assert_eq!((&again["turnId"], &again["text"]), (&first["turnId"], &json!("the whole answer")));
    let other = ask(&server, "hello", "k-2").await.ok();
    assert_ne!(other["turnId"], first["turnId"]);
    let (status, problem) = ask(&server, "goodbye", "k-1").await.problem();
    assert_eq!((status, &problem["code"]), (409, &json!("LOOM_IDEMPOTENCY_CONFLICT")));

    let server = Serving::start(server.kill().await).await;
    assert_eq!(ask(&server, "hello", "k-1").await.ok()["turnId"], first["turnId"]);
    let (_, problem) = ask(&server, "goodbye", "k-1").await.problem();
    assert_eq!(problem["code"], "LOOM_IDEMPOTENCY_CONFLICT");
    assert_eq!(server.http.get("/v1/sessions").await.ok()["totalCount"], 2, "one for each turn");
    let long = "k".repeat(256);
    assert_eq!(ask(&server, "hello", &long).await.problem().1["code"], "LOOM_INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_place_that_is_none_of_the_turns_is_refused() {
    let server = Serving::start(Home::playing(AT_ONCE)).await;
    let (one, two) = (server.ask("one").await, server.ask("two").await);
    let path = |turn: &Value| format!("/v1/turns/{}:stream", turn["turnId"].as_str().unwrap());
    let whole = server.http.stream_after(&path(&one), None).await.rest().await;
    let beyond = format!("{}.0.99.0", two["turnId"].as_str().unwrap());
    for cursor in [whole[0].id.as_str(), "nonsense", "", &beyond] {
        let answer =
            server.http.send(Method::GET, &path(&two), &[("last-event-id", cursor)], String::new()).await;
        if cursor.is_empty() {
            assert_eq!(answer.status, 200, "who saw nothing starts at the beginning: {}", answer.text);
            continue;
        }
        let (status, problem) = answer.problem();
        assert_eq!((status, &problem["code"]), (400, &json!("LOOM_INVALID_CURSOR")), "{cursor}");
    }
    let gone = server.http.get("/v1/turns/turn_00000000000000000000000000000000:stream").await.problem();
    assert_eq!((gone.0, &gone.1["code"]), (404, &json!("LOOM_TURN_NOT_FOUND")));
}

#[tokio::test]
async fn a_turn_is_listed_cancelled_and_watched_by_its_id() {
    let (_model, home) = stalling().await;
    let server = Serving::start(home).await;
    let (path, _) = half_answered(&server).await;
    let turn = path.split(['/', ':']).find(|part| part.starts_with("turn_")).unwrap();
    let listed = server.run(["turn", "list"]).await.worked();
    assert!(listed.contains(turn) && listed.contains("unfinished"), "{listed}");
    assert_eq!(server.run(["turn", "cancel", turn]).await.worked(), format!("turn {turn} is over\n"));
    assert_eq!(server.run(["turn", "list"]).await.worked(), "no turn is unfinished\n");
    let watched = server.run(["turn", "watch", turn]).await;
    assert!(watched.out.contains("search_patterns"), "{}", watched.out);
    assert!(watched.failed(1).contains("LOOM_CANCELLED"));
}

#[tokio::test]
async fn a_chat_outlives_its_server() {
    let server = Serving::start(Home::playing(SLOW)).await;
    let mut command = server.home.command(["chat"]);
    command.env("LOOM_SERVER", format!("http://{}", server.grpc));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").await.unwrap();
    drop(stdin);
    until("the turn runs", async || {
        (server.http.get("/v1/turns").await.ok()["totalCount"] == 1).then_some(())
    })
    .await;
    let _server = server.kill_and_restart(|home| home.write("script.yaml", AT_ONCE)).await;
    let said = Said::of(&child.wait_with_output().await.unwrap()).worked();
    assert!(said.contains("the whole answer"), "{said}");
}
