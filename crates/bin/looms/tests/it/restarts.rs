//! Servers that end, well or badly, and what is still there after.

use loom_testkit::{ProviderFake, Reply};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::home::Home;
use crate::serving::{Serving, until};
use crate::shop::make_database;

/// Counts until it is stopped.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT count(*) AS c FROM n";
const WITH_SHOP: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: tester }
spec: { backends: [shop], config: { patterns: { enabled: false } } }
";

/// Each tool call of `messages`, as a provider sees them, has one result, right after it.
fn assert_each_call_has_one_result(messages: &[Value]) {
    let mut owed: Vec<String> = Vec::new();
    for message in messages {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap();
            let at = owed.iter().position(|owed| owed == id).expect("a result without a call");
            owed.remove(at);
            continue;
        }
        assert!(owed.is_empty(), "no result for {owed:?}");
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            owed.push(call["id"].as_str().unwrap().to_owned());
        }
    }
    assert!(owed.is_empty(), "no result for {owed:?}");
}

#[tokio::test]
async fn a_turn_that_a_kill_cut_off_is_taken_up_and_can_be_cancelled() {
    let endless = json!({ "sql": ENDLESS }).to_string();
    let calls = [("c1", "list_tables", "{}"), ("c2", "query", endless.as_str()), ("c3", "schema", "{}")];
    let script = vec![Reply::text("first"), Reply::tool_calls(calls), Reply::text("I am back")];
    let fake = ProviderFake::ollama(script).await.unwrap();
    let home = Home::asking(&fake.base_url());
    make_database(&home.path("shop.db")).await;
    home.write("backends/shop.yaml", "type: sqlite\nconnection: { path: ../shop.db }\n");
    home.write("agents/tester.yaml", WITH_SHOP);
    let server = Serving::start(home).await;
    let session = server.ask("one").await["sessionId"].clone();
    let asked = json!({ "query": "two", "sessionId": session });
    let mut stream = server.http.stream("/v1/chat:stream", asked).await;
    let turn = loop {
        let event = stream.next().await.unwrap().data;
        if event["isToolCompleted"] == true {
            break event["turnId"].clone();
        }
    };
    let home = server.kill().await;

    let server = Serving::start(home).await;
    let unfinished = server.http.get("/v1/turns").await.ok();
    assert_eq!(unfinished["turns"][0]["turnId"], turn, "{unfinished}");
    server.http.post(&format!("/v1/turns/{}:cancel", turn.as_str().unwrap()), json!({})).await.ok();
    assert_eq!(server.http.get("/v1/turns").await.ok()["totalCount"], 0);
    let next = json!({ "query": "three", "sessionId": session });
    assert_eq!(server.http.post("/v1/weave", next).await.ok()["text"], "I am back");
    let requests = fake.requests();
    let messages = requests.last().unwrap().body["messages"].as_array().unwrap();
    assert_each_call_has_one_result(messages);
    let said: Vec<_> = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].clone())
        .collect();
    assert_eq!(said, ["one", "two", "three"]);

    let history = server.http.get(&format!("/v1/sessions/{}/history", session.as_str().unwrap())).await.ok();
    let roles: Vec<_> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "tool", "user", "assistant"]);
    let calls = history["messages"][3]["toolCalls"].as_array().unwrap();
    assert_eq!(calls.len(), 3);
    for call in calls {
        let (result, error) = (call["resultJson"].as_str().unwrap(), call["error"].as_str().unwrap());
        assert!(result.is_empty() != error.is_empty(), "{call}");
        assert_eq!(call["success"], error.is_empty());
    }
    let trace = server.http.get(&format!("/v1/traces/{}", turn.as_str().unwrap())).await.ok();
    assert_eq!(trace["rootSpan"]["attributes"]["loom.turn.outcome"], "cancelled", "{trace}");
    let session = server.http.get(&format!("/v1/sessions/{}", session.as_str().unwrap())).await.ok();
    assert_eq!(session["conversationCount"], 3);
}

#[tokio::test]
async fn what_was_answered_is_still_there_after_a_kill() {
    let server = Serving::start(Home::playing("default: { text: '{{user}}' }")).await;
    let asked: Vec<_> = (0..8).map(|n| format!("message {n}")).collect();
    let answers = futures::future::join_all(asked.iter().map(|query| server.ask(query))).await;
    let server = Serving::start(server.kill().await).await;
    for answer in answers {
        let path = format!("/v1/sessions/{}/history", answer["sessionId"].as_str().unwrap());
        let history = server.http.get(&path).await.ok();
        let texts: Vec<_> =
            history["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
        assert_eq!(texts, [&answer["text"], &answer["text"]]);
        let trace =
            server.http.get(&format!("/v1/traces/{}", answer["traceId"].as_str().unwrap())).await.ok();
        assert_eq!(trace["sessionId"], answer["sessionId"]);
    }
    assert_eq!(server.http.get("/v1/sessions?limit=3").await.ok()["totalCount"], 8);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_and_told_who_holds_it() {
    let server = Serving::start(Home::playing("default: { text: fine }")).await;
    let said = server.home.run(["serve", "--config", "looms.yaml", "--port", "1", "--http-port", "0"]).await;
    let error = said.failed(5);
    assert!(error.contains("LOOM_DATA_DIR_LOCKED"), "{error}");
    assert!(error.contains(&server.id().to_string()), "{error}");
    assert_eq!(server.ask("still there?").await["text"], "fine");
    let (home, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(Serving::start(home).await.ask("again?").await["text"], "fine");
}

#[tokio::test]
async fn a_stopping_server_ends_its_turns_and_a_second_signal_ends_it_at_once() {
    let slow = "default: { text: never, latency_ms: 600000 }";
    let home = Home::playing(slow);
    home.configure_also("server: { behavior: { shutdown_timeout_seconds: 0 } }");
    let server = Serving::start(home).await;
    let stream = server.http.stream("/v1/chat:stream", json!({ "query": "wait" })).await;
    let (home, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    drop(stream);

    home.configure_also("logging: { level: info }");
    std::fs::write(
        home.path("looms.yaml"),
        std::fs::read_to_string(home.path("looms.yaml"))
            .unwrap()
            .replace("shutdown_timeout_seconds: 0", "shutdown_timeout_seconds: 600"),
    )
    .unwrap();
    let mut server = Serving::start(home).await;
    let _stream = server.http.stream("/v1/chat:stream", json!({ "query": "wait" })).await;
    server.signal("TERM");
    server.logged(|line| line.contains("stopping")).await;
    let (_, said) = server.stop().await;
    assert_eq!(said.code, 1, "{}", said.err);
}

#[tokio::test]
async fn whoever_waits_for_a_turn_when_the_server_stops_is_told_that_it_goes_on() {
    let home = Home::playing("default: { text: never, latency_ms: 600000 }");
    home.configure_also("server: { behavior: { shutdown_timeout_seconds: 1 } }");
    let server = Serving::start(home).await;
    let mut stream = server.http.stream("/v1/chat:stream", json!({ "query": "wait" })).await;
    assert!(stream.next().await.is_some());
    let http = server.http.clone();
    let whole = tokio::spawn(async move { http.post("/v1/weave", json!({ "query": "wait" })).await });
    let client = server.reflected().await;
    let over_grpc = tokio::spawn(async move { client.call("Weave", json!({ "query": "wait" }), &[]).await });
    until("three turns run", async || {
        let metrics = server.http.get("/metrics").await.text;
        metrics.lines().any(|line| line == "loom_sessions_active 3").then_some(())
    })
    .await;
    let (_, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    let events = stream.rest().await;
    // The turns are not over: they go on after the next start.
    assert_eq!(events.last().unwrap().data["code"], "LOOM_SHUTTING_DOWN");
    assert!(events.last().unwrap().data["metadata"]["turn_id"].is_string());
    assert_eq!(whole.await.unwrap().problem().1["code"], "LOOM_SHUTTING_DOWN");
    assert_eq!(over_grpc.await.unwrap().unwrap_err().reason, "LOOM_SHUTTING_DOWN");
}

#[tokio::test]
async fn one_who_does_not_read_does_not_hold_up_the_stop() {
    let long = format!("chunk_size: 4096\ndefault: {{ text: '{}' }}", "long ".repeat(400_000));
    let home = Home::playing(&long);
    home.configure_also("server: { behavior: { shutdown_timeout_seconds: 600 } }");
    let server = Serving::start(home).await;
    let body = json!({ "query": "talk", "sessionId": "deaf" }).to_string();
    let request = format!(
        "POST /v1/chat:stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut deaf = TcpStream::connect(server.http.address).await.unwrap();
    deaf.write_all(request.as_bytes()).await.unwrap();
    until("the turn is over", async || {
        let history = server.http.get("/v1/sessions/deaf/history").await;
        (history.status == 200 && history.json()["totalCount"] == 2).then_some(())
    })
    .await;
    // Ten minutes, if it waited for the reader.
    let (_, said) = server.stop().await;
    assert_eq!(said.code, 0, "{}", said.err);
    drop(deaf);
}
