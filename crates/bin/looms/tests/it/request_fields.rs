//! Each field of a request: it does what it says, or it is refused by name.

use loom_testkit::{ProviderFake, Reply};
use serde_json::{Value, json};

use crate::home::Home;
use crate::serving::{Serving, until};

const SCRIPT: &str = "
rules:
  - { when: { contains: look }, reply: { tool_calls: [{ name: search_patterns, arguments: { question: top } }] } }
  - { when: { contains: look, after_tool: '*' }, reply: { text: found } }
  - { when: { contains: sleep }, reply: { text: late, latency_ms: 600000 } }
default: { text: '{{user}}' }
";

async fn refused(server: &Serving, body: Value) -> (u16, String, String) {
    let (status, problem) = server.http.post("/v1/weave", body).await.problem();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (status, text(&problem["code"]), text(&problem["metadata"]["field"]))
}

#[tokio::test]
async fn limits_of_a_request_end_its_turn() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let ask = async |body: Value| refused(&server, body).await;
    let (status, code, _) = ask(json!({ "query": "look", "maxRounds": 1 })).await;
    assert_eq!((status, code.as_str()), (429, "LOOM_TURN_LIMIT"));
    assert_eq!(
        server.http.post("/v1/weave", json!({ "query": "look", "max_rounds": 2 })).await.ok()["text"],
        "found"
    );
    let (status, code, _) = ask(json!({ "query": "sleep", "timeoutSeconds": 1, "sessionId": "mine" })).await;
    assert_eq!((status, code.as_str()), (504, "LOOM_DEADLINE_EXCEEDED"));

    let client = server.reflected().await;
    let hurried = [("grpc-timeout", "50m")];
    let asked = json!({ "query": "sleep", "sessionId": "mine" });
    let (events, refusal) = client.stream("StreamWeave", asked.clone(), &hurried).await.unwrap().rest().await;
    assert_eq!(refusal.unwrap().reason, "LOOM_DEADLINE_EXCEEDED");
    assert_eq!(events.last().unwrap()["stage"], "EXECUTION_STAGE_FAILED");
    let headers = [("content-type", "application/json"), ("grpc-timeout", "50m")];
    let answer = server.http.send(::http::Method::POST, "/v1/weave", &headers, asked.to_string()).await;
    assert_eq!(answer.problem().1["code"], "LOOM_DEADLINE_EXCEEDED");
    // The turns themselves ended, so the session is free.
    let next = server.http.post("/v1/weave", json!({ "query": "next", "sessionId": "mine" })).await.ok();
    assert_eq!((&next["text"], &next["sessionId"]), (&json!("next"), &json!("mine")));
}

#[tokio::test]
async fn context_and_reset_context_decide_what_the_model_sees() {
    let fake = ProviderFake::ollama([(); 4].map(|()| Reply::text("ok")).into()).await.unwrap();
    let server = Serving::start(Home::asking(&fake.base_url())).await;
    let ask = async |body: Value| server.http.post("/v1/weave", body).await.ok();
    let session = ask(json!({ "query": "one", "context": { "locale": "de-AT" } })).await["sessionId"].clone();
    ask(json!({ "query": "two", "sessionId": session })).await;
    ask(json!({ "query": "three", "sessionId": session, "resetContext": true })).await;
    ask(json!({ "query": "four", "sessionId": session })).await;
    let sent: Vec<_> = fake.requests().iter().map(|request| request.body["messages"].clone()).collect();
    let users = |n: usize| {
        let users = sent[n].as_array().unwrap().iter().filter(|message| message["role"] == "user");
        users.map(|message| message["content"].to_string()).collect::<Vec<_>>()
    };
    assert!(users(0)[0].contains("locale: de-AT"), "{:?}", users(0));
    assert_eq!(users(0)[0], users(1)[0], "what was sent is sent the same again");
    assert!(!users(1)[1].contains("de-AT"), "it was for that message only");
    assert_eq!((users(2).len(), users(3).len()), (1, 2));
    let path = format!("/v1/sessions/{}/history", session.as_str().unwrap());
    let history = server.http.get(&path).await.ok();
    assert_eq!(history["totalCount"], 8);
    let first = &history["messages"][0]["content"];
    assert_eq!(first, "one", "history shows what the user said");
}

#[tokio::test]
async fn a_forced_pattern_is_used_and_an_unknown_one_refused() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let forced =
        server.http.post("/v1/weave", json!({ "query": "hi", "forcePattern": "top_by_total" })).await.ok();
    assert_eq!(forced["metadata"]["patternName"], "top_by_total");
    assert_eq!(forced["metadata"]["patternConfidence"], 1.0);
    assert_eq!(forced["contextState"]["activePattern"], "top_by_total");
    let (status, code, _) = refused(&server, json!({ "query": "hi", "forcePattern": "no_such" })).await;
    assert_eq!((status, code.as_str()), (404, "LOOM_PATTERN_NOT_FOUND"));
    assert_eq!(
        server.http.get("/v1/sessions").await.ok()["totalCount"],
        1,
        "a refused turn leaves no session"
    );
}

#[tokio::test]
async fn a_trace_has_inner_spans_when_they_are_asked_for() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let spans = async |body: Value, least: usize| {
        let answer = server.http.post("/v1/weave", body).await.ok();
        let path = format!("/v1/traces/{}", answer["traceId"].as_str().unwrap());
        until("the spans are stored", async || {
            let trace = server.http.get(&path).await.ok();
            let spans = trace["spans"].as_array().unwrap().clone();
            (spans.len() >= least).then_some(spans)
        })
        .await
    };
    let plain = spans(json!({ "query": "look" }), 0).await;
    let names: Vec<_> = plain.iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["invoke_agent", "chat mock", "execute_tool search_patterns", "chat mock"]);
    let detailed = spans(json!({ "query": "look", "enableTrace": true }), 5).await;
    let ids: Vec<_> = detailed.iter().map(|span| span["id"].as_str().unwrap()).collect();
    for span in &detailed[1..] {
        assert!(ids.contains(&span["parentId"].as_str().unwrap()), "{span} has no parent in {ids:?}");
    }
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
}

#[tokio::test]
async fn the_callers_trace_is_continued() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("content-type", "application/json"), ("traceparent", parent)];
    let body = json!({ "query": "hi" }).to_string();
    let answer = server.http.send(::http::Method::POST, "/v1/weave", &headers, body).await.ok();
    assert_eq!(answer["traceId"], "0af7651916cd43dd8448eb211c80319c");
    let trace = server.http.get("/v1/traces/0af7651916cd43dd8448eb211c80319c").await.ok();
    assert_eq!(trace["rootSpan"]["parentId"], "b7ad6b7169203331");
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let server = Serving::start(Home::playing(SCRIPT)).await;
    let cases = [
        (json!({ "query": "" }), "LOOM_EMPTY_QUERY", ""),
        (json!({ "query": " \n\t" }), "LOOM_EMPTY_QUERY", ""),
        (json!({}), "LOOM_EMPTY_QUERY", ""),
        (
            json!({ "query": "q", "occurredAt": "2026-01-01T00:00:00Z" }),
            "LOOM_UNSUPPORTED_FIELD",
            "occurred_at",
        ),
        (json!({ "query": "q", "backendConfig": { "a": "b" } }), "LOOM_UNSUPPORTED_FIELD", "backend_config"),
        (json!({ "query": "q", "quary": 1 }), "LOOM_UNKNOWN_FIELD", "quary"),
        (json!({ "query": 7 }), "LOOM_INVALID_ARGUMENT", "query"),
        (json!({ "query": "q", "maxRounds": -1 }), "LOOM_INVALID_ARGUMENT", "max_rounds"),
        (json!({ "query": "q", "maxRounds": "many" }), "LOOM_INVALID_ARGUMENT", "maxRounds"),
        (json!({ "query": "q", "timeoutSeconds": -5 }), "LOOM_INVALID_ARGUMENT", "timeout_seconds"),
        (json!({ "query": "q", "streamMode": "SIDEWAYS" }), "LOOM_INVALID_ARGUMENT", "streamMode"),
        (json!({ "query": "q", "streamMode": 99 }), "LOOM_INVALID_ARGUMENT", "stream_mode"),
        (json!({ "query": "q", "streamMode": "STREAM_MODE_DELTA" }), "LOOM_INVALID_ARGUMENT", "stream_mode"),
        (json!({ "query": "q", "sessionId": "a\nb" }), "LOOM_INVALID_ARGUMENT", "session_id"),
        (json!({ "query": "q", "sessionId": "x".repeat(1000) }), "LOOM_INVALID_ARGUMENT", "session_id"),
        (json!({ "query": "q", "context": "x" }), "LOOM_INVALID_ARGUMENT", "context"),
        (json!([]), "LOOM_INVALID_ARGUMENT", ""),
    ];
    for (body, code, field) in cases {
        assert_eq!(refused(&server, body.clone()).await, (400, code.to_owned(), field.to_owned()), "{body}");
    }
    let headers = [("content-type", "application/json")];
    let broken = server.http.send(::http::Method::POST, "/v1/weave", &headers, "{".into()).await.problem();
    assert_eq!((broken.0, &broken.1["code"]), (400, &json!("LOOM_INVALID_ARGUMENT")));
    let unknown = server.http.post("/v1/weave", json!({ "query": "q", "agentId": "testr" })).await.problem();
    assert_eq!((unknown.0, &unknown.1["code"]), (404, &json!("LOOM_AGENT_NOT_FOUND")));
    assert!(unknown.1["detail"].as_str().unwrap().contains("tester"), "{}", unknown.1);
    assert_eq!(server.http.get("/v1/sessions").await.ok()["totalCount"], 0, "nothing was stored");

    let client = server.reflected().await;
    let refusal =
        client.call("Weave", json!({ "query": "q", "backendConfig": { "a": "b" } }), &[]).await.unwrap_err();
    assert_eq!(
        (refusal.status.as_str(), refusal.reason.as_str()),
        ("INVALID_ARGUMENT", "LOOM_UNSUPPORTED_FIELD")
    );
    assert_eq!(refusal.metadata["field"], "backend_config");
}

#[tokio::test]
async fn a_session_stays_with_its_agent() {
    let home = Home::playing(SCRIPT);
    home.write("agents/other.yaml", &crate::home::TESTER.replace("name: tester", "name: other"));
    let server = Serving::start(home).await;
    let ask = async |body: Value| server.http.post("/v1/weave", body).await;
    let first = ask(json!({ "query": "hi", "agentId": "other" })).await.ok();
    let again = ask(json!({ "query": "hi", "sessionId": first["sessionId"] })).await.ok();
    assert_eq!(again["agentId"], first["agentId"]);
    let (status, problem) =
        ask(json!({ "query": "hi", "sessionId": first["sessionId"], "agentId": "tester" })).await.problem();
    assert_eq!((status, &problem["code"]), (400, &json!("LOOM_SESSION_AGENT_MISMATCH")));
    let by_id = ask(json!({ "query": "hi", "agentId": first["agentId"] })).await.ok();
    assert_eq!(by_id["agentId"], first["agentId"]);
}

#[tokio::test]
async fn a_caller_is_told_when_the_provider_takes_requests_again() {
    let script = "default: { error: { class: rate_limited, message: slow down, retry_after_ms: 90000 } }";
    let server = Serving::start(Home::playing(script)).await;
    let answer = server.http.post("/v1/weave", json!({ "query": "hi" })).await;
    assert_eq!(answer.headers["retry-after"], "90");
    let (status, problem) = answer.problem();
    assert_eq!((status, &problem["code"]), (429, &json!("LOOM_LLM_RATE_LIMITED")));
    assert_eq!(problem["retryAfterSeconds"], 90.0);
}

#[tokio::test]
async fn a_turn_ends_with_its_connection_only_when_asked_to() {
    let held = Reply::text("to the end").held_after_events(3);
    let fake = ProviderFake::ollama(vec![Reply::text("a").stall_after_events(2), held]).await.unwrap();
    let server = Serving::start(Home::asking(&fake.base_url())).await;
    let start = async |body: Value| {
        let mut stream = server.http.stream("/v1/chat:stream", body).await;
        while stream.next().await.unwrap().data["isTokenStream"] != true {}
        drop(stream);
    };
    start(json!({ "query": "leave", "sessionId": "left", "cancelOnDisconnect": true })).await;
    fake.until_closed(1).await;
    start(json!({ "query": "stay", "sessionId": "stayed" })).await;
    fake.release();
    let last = async |session: &str| {
        let history = server.http.get(&format!("/v1/sessions/{session}/history")).await.ok();
        history["messages"].as_array().unwrap().last().unwrap().clone()
    };
    let said = until("the turn ends by itself", async || {
        let last = last("stayed").await;
        (last["role"] == "assistant").then(|| last["content"].clone())
    })
    .await;
    assert_eq!(said, "to the end");
    assert_eq!(last("left").await["role"], "user");
}
