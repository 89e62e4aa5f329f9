//! Every form of route, both cases of names, and what is refused.

use http::{Request, StatusCode};

use crate::setup::{json, start, text};

#[tokio::test]
async fn every_form_of_route_reaches_its_rpc() {
    let server = start().await;
    let session = json(server.get("/v1/sessions/a%2Fb%20c").await).await;
    insta::assert_json_snapshot!(session);

    let history = json(server.get("/v1/sessions/s1/history?limit=7").await).await;
    assert_eq!((&history["sessionId"], &history["totalCount"]), (&"s1".into(), &7.into()));

    let deleted = json(server.send(Request::delete("/v1/agents/a:1?force=true"), "").await).await;
    assert_eq!(deleted, serde_json::json!({"success": true, "agentId": "a:1"}));

    let reloaded =
        json(server.post("/v1/agents/a:1:reload", r#"{"config": {"system_prompt": "x"}}"#).await).await;
    assert_eq!((&reloaded["id"], &reloaded["config"]["systemPrompt"]), (&"a:1".into(), &"x".into()));

    let same = json(server.post("/v1/agents/a:1:reload", r#"{"agentId": "a:1"}"#).await).await;
    assert_eq!(same["id"], "a:1");

    let created = json(server.post("/v1/agents:create", r#"{"config": {"backends": ["shop"]}}"#).await).await;
    assert_eq!((&created["status"], &created["config"]["backends"][0]), (&"created".into(), &"shop".into()));

    let patterns = json(server.send(Request::post("/v1/patterns:reload"), "").await).await;
    assert_eq!(patterns["patternsLoaded"], 3);

    let copied = json(server.post("/v1/store:backup", r#"{"name": "monday.db"}"#).await).await;
    assert_eq!(copied, serde_json::json!({"path": "monday.db", "bytes": "7"}));
}

#[tokio::test]
async fn the_query_string_gives_fields_in_either_case() {
    let server = start().await;
    for query in ["agent_id=a%20b&limit=5&offset=2", "agentId=a+b&limit=5&offset=2"] {
        let answer = json(server.get(&format!("/v1/sessions?{query}")).await).await;
        let asked = answer["sessions"][0]["name"].as_str().unwrap().to_owned();
        assert!(asked.contains(r#"offset: 2, limit: 5, agent_id: "a b""#), "{asked}");
    }
}

#[tokio::test]
async fn names_are_read_in_both_cases_and_written_in_camel_case() {
    let server = start().await;
    for body in [
        r#"{"query": "q", "sessionId": "s", "agentId": "a", "streamMode": "STREAM_MODE_DELTA", "context": {"k": "v"}}"#,
        r#"{"query": "q", "session_id": "s", "agent_id": "a", "stream_mode": 2, "context": {"k": "v"}}"#,
    ] {
        let request = Request::post("/v1/weave").header("content-type", "application/json; charset=utf-8");
        let request = request.header("traceparent", "00-1-2-01");
        let answer = json(server.send(request, body).await).await;
        insta::assert_json_snapshot!("names_in_both_cases", answer);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_name() {
    let server = start().await;
    let mut answers = Vec::new();
    for (method, path, body) in [
        ("POST", "/v1/weave", r#"{"query": "q", "sesionId": "s"}"#),
        ("POST", "/v1/agents", r#"{"config": {"llm": {"modell": "m"}}}"#),
        ("POST", "/v1/agents", r#"{"config": {"llm": {"maxTokens": "many"}}}"#),
        ("POST", "/v1/weave", r#"{"query": 7}"#),
        ("POST", "/v1/weave", r#"{"query": "#),
        ("POST", "/v1/weave", "[]"),
        ("POST", "/v1/weave", r#"{"query": "q", "query": "r"}"#),
        ("POST", "/v1/weave", r#"{"query": "q", "sessionId": "a", "session_id": "b"}"#),
        ("POST", "/v1/weave?query=q", r#"{"query": "q"}"#),
        ("POST", "/v1/agents/a:reload", r#"{"agentId": "b"}"#),
        ("POST", "/v1/agents/a:reload", r#"{"agent_id": "b"}"#),
        ("GET", "/v1/sessions?nope=1", ""),
        ("GET", "/v1/sessions?limit=many", ""),
        ("GET", "/v1/sessions?limit=1&limit=2", ""),
        ("DELETE", "/v1/agents/a?force=yes", ""),
        ("GET", "/v1/sessions", r#"{"limit": 1}"#),
        ("PUT", "/v1/weave", ""),
        ("GET", "/v1/nothing", ""),
        ("GET", "/v1/agents/", ""),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let response = server.send(request, body).await;
        let status = response.status();
        let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["status"], status.as_u16());
        let (code, detail) = (problem["code"].as_str().unwrap(), problem["detail"].as_str().unwrap());
        answers.push(format!("{method} {path} {body}\n  {} {code}: {detail}", status.as_u16()));
    }
    insta::assert_snapshot!(answers.join("\n"));
}

#[tokio::test]
async fn a_wrong_method_names_the_right_one() {
    let server = start().await;
    let response = server.get("/v1/weave").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
}
