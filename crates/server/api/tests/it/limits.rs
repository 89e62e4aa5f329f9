//! What is too large, too many or too slow.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use loom_access::AllowLocal;
use loom_api::{Failure, Limits};
use loom_base::ErrorCode;
use loom_proto::v1::WeaveRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::setup::{Running, json, limits, start, start_with};

fn weave(query: impl Into<String>) -> WeaveRequest {
    WeaveRequest { query: query.into(), ..WeaveRequest::default() }
}

/// Sends `head` and then `chunk` again and again, until the server has answered and closed.
async fn flood(server: &Running, head: &str, chunk: &[u8]) -> (String, usize) {
    let (mut read, mut write) = TcpStream::connect(server.http).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        let mut sent = 0;
        while sent < 100 << 20 && write.write_all(chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let receiving = async {
        let mut answer = vec![0; 4096];
        let length = read.read(&mut answer).await.unwrap_or(0);
        answer.truncate(length);
        String::from_utf8(answer).unwrap()
    };
    let (answer, sent) = tokio::join!(receiving, sending);
    (answer, sent)
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_by_its_length_alone() {
    let server = start().await;
    let head = "POST /v1/weave HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
    let mut connection = TcpStream::connect(server.http).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("LOOM_TOO_LARGE"), "{answer}");
    assert_eq!(json(server.post("/v1/weave", r#"{"query": "q"}"#).await).await["text"], "q");
}

#[tokio::test]
async fn a_body_without_a_length_is_refused_at_the_limit() {
    let server = start().await;
    let head = "POST /v1/weave HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"8000\r\n".as_slice(), &vec![b' '; 0x8000], b"\r\n"].concat();
    let (answer, sent) = flood(&server, head, &chunk).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("LOOM_TOO_LARGE"), "{answer}");
    assert!(sent < 100 << 20, "the server read it all");
}

#[tokio::test]
async fn a_large_grpc_message_is_refused_with_its_code() {
    let server = start().await;
    let mut client = server.client().await;
    let status = client.weave(weave("x".repeat(100 << 20))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(Failure::from_status(&status).code, ErrorCode::TooLarge);
    assert_eq!(client.weave(weave("x".repeat(60 << 10))).await.unwrap().get_ref().text.len(), 60 << 10);
}

#[tokio::test]
async fn large_headers_are_refused_at_both_doors() {
    let server = start().await;
    let request = Request::get("/v1/sessions").header("x-large", "x".repeat(5 << 10));
    let response = server.send(request, "").await;
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(json(response).await["code"], "LOOM_TOO_LARGE");
    let request = Request::get("/v1/sessions").header("x-large", "x".repeat(50 << 10));
    assert_eq!(server.send(request, "").await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    let mut request = tonic::Request::new(weave("q"));
    request.metadata_mut().insert("x-large", "x".repeat(5 << 10).parse().unwrap());
    let status = server.client().await.weave(request).await.unwrap_err();
    assert_eq!(Failure::from_status(&status).code, ErrorCode::TooLarge);
}

#[tokio::test]
async fn one_call_too_many_is_told_so_at_once() {
    let limits = Limits { concurrent_requests: 1, ..limits() };
    let mut server = start_with(limits, Arc::new(AllowLocal)).await;
    let mut client = server.client().await;
    let mut first = client.stream_weave(weave("hang")).await.unwrap().into_inner();
    assert!(first.message().await.unwrap().is_some());
    assert_eq!(server.events.recv().await.unwrap(), "hang");

    let failure = Failure::from_status(&client.weave(weave("q")).await.unwrap_err());
    assert_eq!((failure.code, failure.retry_after), (ErrorCode::Overloaded, Some(Duration::from_secs(1))));
    let response = server.post("/v1/weave", r#"{"query": "q"}"#).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(json(response).await["code"], "LOOM_OVERLOADED");

    drop(first);
    assert_eq!(server.events.recv().await.unwrap(), "dropped");
    while client.weave(weave("q")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_call_ends_by_the_server_s_limit_or_the_caller_s() {
    let limits = Limits { request_time: Duration::from_millis(30), ..limits() };
    let mut server = start_with(limits, Arc::new(AllowLocal)).await;
    let response = server.post("/v1/weave", r#"{"query": "hang"}"#).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json(response).await["code"], "LOOM_DEADLINE_EXCEEDED");
    assert_eq!(server.events.recv().await.unwrap(), "hang");
    assert_eq!(server.events.recv().await.unwrap(), "dropped");

    let timed = Request::post("/v1/chat:stream").header("content-type", "application/json");
    let response = server.send(timed.header("grpc-timeout", "50m"), r#"{"query": "hang"}"#).await;
    let events = crate::setup::text(response).await;
    assert!(events.contains("event: error\ndata: {\"code\":\"LOOM_DEADLINE_EXCEEDED\""), "{events}");
    assert_eq!(server.events.recv().await.unwrap(), "hang");
    assert_eq!(server.events.recv().await.unwrap(), "dropped");

    let timed = Request::post("/v1/weave").header("content-type", "application/json");
    let response = server.send(timed.header("grpc-timeout", "soon"), r#"{"query": "q"}"#).await;
    assert_eq!(json(response).await["code"], "LOOM_INVALID_ARGUMENT");
}
