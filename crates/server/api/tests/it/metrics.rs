//! What is counted of requests.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use loom_proto::v1::WeaveRequest;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::setup::{Running, start, text};

const WEAVE: &str = "loom.v1.LoomService/Weave";
const STREAM: &str = "loom.v1.LoomService/StreamWeave";

fn asking(query: &str) -> WeaveRequest {
    WeaveRequest { query: query.into(), ..WeaveRequest::default() }
}

impl Running {
    fn counted(&self, rpc: &str, code: &str) -> u64 {
        self.metrics.requests.get([rpc, code])
    }
}

#[tokio::test]
async fn both_doors_count_the_same_calls() {
    let server = start().await;
    let mut client = server.client().await;
    client.weave(asking("q")).await.unwrap();
    server.post("/v1/weave", r#"{"query": "q"}"#).await;
    assert_eq!(server.counted(WEAVE, "OK"), 2);
    client.weave(asking("refused")).await.unwrap_err();
    server.post("/v1/weave", r#"{"query": "refused"}"#).await;
    assert_eq!(server.counted(WEAVE, "NOT_FOUND"), 2);
    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(server.counted("grpc.health.v1.Health/Check", "OK"), 1);

    let answer = server.get("/metrics").await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let metrics = text(answer).await;
    for line in [
        "loom_requests_total{rpc=\"loom.v1.LoomService/Weave\",code=\"OK\"} 2",
        "loom_request_duration_seconds_count{rpc=\"loom.v1.LoomService/Weave\"} 4",
        "loom_requests_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn a_stream_counts_when_it_ends() {
    let server = start().await;
    let mut client = server.client().await;
    for (query, code) in [("q", "OK"), ("broken", "NOT_FOUND"), ("refused", "NOT_FOUND")] {
        let before = server.counted(STREAM, code);
        if let Ok(stream) = client.stream_weave(asking(query)).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        }
        assert_eq!(server.counted(STREAM, code), before + 1, "{query} over gRPC");
        let body = format!(r#"{{"query": "{query}"}}"#);
        text(server.post("/v1/weave:stream", &body).await).await;
        assert_eq!(server.counted(STREAM, code), before + 2, "{query} over HTTP");
    }
    assert_eq!(server.metrics.requests_in_flight.get(), 0);
}

#[tokio::test]
async fn a_caller_who_leaves_is_counted_as_such() {
    let mut server = start().await;
    let mut client = server.client().await;
    let mut over_grpc = client.stream_weave(asking("hang")).await.unwrap().into_inner();
    over_grpc.message().await.unwrap();
    let mut over_http = server.post("/v1/weave:stream", r#"{"query": "hang"}"#).await;
    over_http.frame().await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(server.events.recv().await.unwrap(), "hang");
    }
    assert_eq!(server.metrics.requests_in_flight.get(), 2);
    assert_eq!(server.counted(STREAM, "CANCELLED"), 0);
    drop(over_grpc);
    drop(over_http);
    while server.metrics.requests_in_flight.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.counted(STREAM, "CANCELLED"), 2);
}

#[tokio::test]
async fn what_leads_to_no_rpc_shares_one_name() {
    let server = start().await;
    let foreign = server.send(Request::get("/v1/sessions").header("host", "evil.example"), "").await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(server.counted("unknown", "PERMISSION_DENIED"), 1);
    server.get("/v1/made/up").await;
    server.get("/v1/weave").await;
    server.get("/loom.v1.LoomService/Weave").await;
    assert_eq!(server.counted("unknown", "NOT_FOUND"), 3);
    server.post("/v1/weave", "not json").await;
    assert_eq!(server.counted(WEAVE, "INVALID_ARGUMENT"), 1);

    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<WeaveRequest, WeaveRequest>::default();
    let path = "/loom.v1.LoomService/MadeUp".parse().unwrap();
    grpc.unary(tonic::Request::new(asking("q")), path, codec).await.unwrap_err();
    assert_eq!(server.counted("unknown", "UNIMPLEMENTED"), 1);
    let metrics = text(server.get("/metrics").await).await;
    assert!(!metrics.contains("made") && !metrics.contains("MadeUp"), "{metrics}");
}
