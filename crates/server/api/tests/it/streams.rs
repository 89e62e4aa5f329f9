//! Server-Sent Events: frames, ids, heartbeats, errors, disconnects.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::setup::{json, send, start, text};

/// Reads until `wanted` has come.
async fn read_until(body: &mut Incoming, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    seen
}

#[tokio::test]
async fn events_have_ids_and_camel_case() {
    let server = start().await;
    let response = server.post("/v1/chat:stream", r#"{"query": "q"}"#).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
    insta::assert_snapshot!(text(response).await);
}

#[tokio::test]
async fn the_route_of_existing_clients_keeps_their_frames() {
    let server = start().await;
    let response = server.post("/v1/weave:stream", r#"{"query": "q"}"#).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    insta::assert_snapshot!(text(response).await);
}

#[tokio::test]
async fn an_error_in_the_stream_is_its_last_event() {
    let server = start().await;
    let response = server.post("/v1/chat:stream", r#"{"query": "broken"}"#).await;
    insta::assert_snapshot!(text(response).await);
    let response = server.post("/v1/weave:stream", r#"{"query": "broken"}"#).await;
    insta::assert_snapshot!(text(response).await);
}

#[tokio::test]
async fn an_error_before_the_stream_is_a_problem() {
    let server = start().await;
    for path in ["/v1/chat:stream", "/v1/weave:stream"] {
        let response = server.post(path, r#"{"query": "refused"}"#).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(json(response).await["code"], "LOOM_AGENT_NOT_FOUND");
    }
}

#[tokio::test]
async fn silence_is_filled_and_a_lost_client_ends_the_call() {
    let mut server = start().await;
    let mut body = server.post("/v1/chat:stream", r#"{"query": "hang"}"#).await.into_body();
    let seen = read_until(&mut body, ": heartbeat\n\n: heartbeat\n\n").await;
    assert!(seen.starts_with("id: turn_1.1\ndata: {"), "{seen}");
    assert_eq!(server.events.recv().await.unwrap(), "hang");
    drop(body);
    assert_eq!(server.events.recv().await.unwrap(), "dropped");
}

#[tokio::test]
async fn a_client_that_gives_up_on_an_answer_ends_the_call() {
    let mut server = start().await;
    let http = server.http;
    let asking = tokio::spawn(async move {
        let request = Request::post("/v1/weave").header("content-type", "application/json");
        send(http, request, r#"{"query": "hang"}"#).await
    });
    assert_eq!(server.events.recv().await.unwrap(), "hang");
    asking.abort();
    assert_eq!(server.events.recv().await.unwrap(), "dropped");
}
