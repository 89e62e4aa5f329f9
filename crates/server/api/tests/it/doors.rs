//! Who is let in, and what the probes say.

use std::sync::Arc;

use http::{Request, StatusCode};
use loom_access::{Action, AllowLocal, Authorizer, Decision, Principal, Resource};
use loom_api::Stack;
use loom_proto::v1::WeaveRequest;
use loom_telemetry::Metrics;
use tower::ServiceExt as _;

use crate::setup::{Counted, json, limits, start, start_with};

#[tokio::test]
async fn pages_of_other_sites_cannot_drive_the_server() {
    let server = start().await;
    let weave = || Request::post("/v1/weave").header("content-type", "application/json");
    let body = r#"{"query": "q"}"#;
    for request in [
        weave().header("origin", "http://evil.example"),
        weave().header("origin", "null"),
        weave().header("host", "evil.example"),
        Request::get("/openapi.json").header("host", "evil.example"),
        Request::get("/metrics").header("origin", "http://localhost:1"),
    ] {
        let response = server.send(request, body).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        assert_eq!(json(response).await["code"], "LOOM_FORBIDDEN_ORIGIN");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let response =
            server.send(Request::post("/v1/weave").header("content-type", content_type), body).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let own = weave().header("host", "localhost:5006").header("origin", "http://localhost:5006");
    assert_eq!(server.send(own, body).await.status(), StatusCode::OK);
}

/// Lets everybody look and nobody do anything.
struct ReadOnly;

impl Authorizer for ReadOnly {
    fn decide(&self, _: Principal, action: Action, _: &Resource) -> Decision {
        match action {
            Action::Read => Decision::Allow,
            _ => Decision::Deny { reason: "read only" },
        }
    }
}

#[tokio::test]
async fn both_doors_ask_the_same_authorizer() {
    let server = start_with(limits(), Arc::new(ReadOnly)).await;
    let response = server.post("/v1/weave", r#"{"query": "q"}"#).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(json(response).await["code"], "LOOM_PERMISSION_DENIED");
    assert_eq!(server.get("/v1/sessions").await.status(), StatusCode::OK);
    let request = WeaveRequest { query: "q".into(), ..WeaveRequest::default() };
    let status = server.client().await.weave(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
}

#[tokio::test]
async fn a_request_that_stands_for_nobody_is_a_stranger_s() {
    let closing = tokio_util::sync::CancellationToken::new();
    let ids = Arc::new(Counted::default());
    let metrics = Arc::new(Metrics::new());
    let stack =
        Stack::new(tonic::service::Routes::default(), limits(), Arc::new(AllowLocal), ids, metrics, closing);
    for path in ["/loom.v1.LoomService/GetHealth", "/grpc.health.v1.Health/Check", "/no.such.Service/Method"]
    {
        let request = || Request::post(path).body(tonic::body::Body::empty()).unwrap();
        let answer = stack.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "7", "{path}");
        let mut local = request();
        local.extensions_mut().insert(Principal::Local);
        let answer = stack.clone().oneshot(local).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "12", "{path}");
    }
}

#[test]
fn every_rpc_has_its_rule() {
    let methods =
        loom_proto::descriptor_pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut rpcs = 0;
    for method in methods {
        let path = format!("{}/{}", method.parent_service().full_name(), method.name());
        assert!(loom_access::entry(&path).is_some(), "{path} has no rule in loom_access");
        rpcs += 1;
    }
    assert_eq!(rpcs, loom_access::table().len(), "a rule is about an RPC that does not exist");
}

#[tokio::test]
async fn the_probes_tell_life_from_readiness() {
    let server = start().await;
    assert_eq!(server.get("/livez").await.status(), StatusCode::OK);
    assert_eq!(server.get("/readyz").await.status(), StatusCode::OK);
    server.ready.send(false).unwrap();
    assert_eq!(server.get("/livez").await.status(), StatusCode::OK);
    assert_eq!(server.get("/readyz").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_stop_waits_for_the_calls_in_progress() {
    let mut server = start().await;
    let mut client = server.client().await;
    let mut stream = client
        .stream_weave(WeaveRequest { query: "hang".into(), ..WeaveRequest::default() })
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(server.events.recv().await.unwrap(), "hang");
    server.stop.cancel();
    while tokio::net::TcpStream::connect(server.grpc).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.stopped.is_finished());
    drop(stream);
    drop(client);
    assert_eq!(server.events.recv().await.unwrap(), "dropped");
    server.stopped.await.unwrap();
}
