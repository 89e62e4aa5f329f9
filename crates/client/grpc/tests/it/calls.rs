//! Calls that are answered, refused, or not answered.

use std::sync::Arc;

use loom_base::ErrorCode;
use loom_grpc::{CONNECT_TIMEOUT, Client, Error};
use loom_proto::v1::{GetAgentRequest, GetHealthRequest, GetTraceRequest, HealthStatus, Span, Trace};
use loom_testkit::ManualClock;
use tokio::net::TcpListener;
use tonic::Code;

use crate::server::{Answer, Answers, details, start};

async fn connect(endpoint: &str) -> Result<Client, Error> {
    Client::connect(endpoint, CONNECT_TIMEOUT, Arc::new(ManualClock::default())).await
}

#[tokio::test]
async fn a_call_is_answered_and_has_a_deadline() {
    let health = HealthStatus { status: "healthy".into(), ..HealthStatus::default() };
    let mut server = start(Answers::default().message("get_health", &health));
    let client = connect(&server.endpoint()).await.unwrap();
    assert_eq!(client.get_health(GetHealthRequest {}).await.unwrap(), health);
    assert!(server.seen.recv().await.unwrap().timeout.is_some());
}

#[tokio::test]
async fn an_address_without_a_scheme_will_do() {
    let server = start(Answers::default().message("get_health", &HealthStatus::default()));
    let client = connect(&server.address.to_string()).await.unwrap();
    client.get_health(GetHealthRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_refusal_has_its_code_and_facts() {
    let details = details("LOOM_AGENT_NOT_FOUND", ("agent_id", "x"));
    let refusal = Answer::Refusal(Code::NotFound, "no agent \"x\"".into(), details);
    let server = start(Answers::default().answer("get_agent", refusal));
    let client = connect(&server.endpoint()).await.unwrap();
    let error = client.get_agent(GetAgentRequest { agent_id: "x".into() }).await.unwrap_err();
    assert_eq!(error, Error::new(ErrorCode::AgentNotFound, "no agent \"x\"").with("agent_id", "x"));
}

#[tokio::test]
async fn a_status_without_details_gets_the_nearest_code() {
    let cases = [
        (Code::InvalidArgument, ErrorCode::InvalidArgument),
        (Code::Unimplemented, ErrorCode::RouteNotFound),
        (Code::Unavailable, ErrorCode::ServerUnreachable),
        (Code::DataLoss, ErrorCode::Internal),
    ];
    for (code, expected) in cases {
        let refusal = Answer::Refusal(code, "no".into(), Vec::new());
        let server = start(Answers::default().answer("get_agent", refusal));
        let client = connect(&server.endpoint()).await.unwrap();
        let error = client.get_agent(GetAgentRequest::default()).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (expected, "no"));
    }
}

#[tokio::test]
async fn an_answer_larger_than_the_usual_limit_arrives() {
    let name = "x".repeat(1000);
    let spans = vec![Span { name, ..Span::default() }; 6000];
    let server = start(Answers::default().message("get_trace", &Trace { spans, ..Trace::default() }));
    let client = connect(&server.endpoint()).await.unwrap();
    assert_eq!(client.get_trace(GetTraceRequest::default()).await.unwrap().spans.len(), 6000);
}

#[tokio::test]
async fn nobody_there_is_said_with_the_cure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect(&endpoint).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServerUnreachable);
    assert_eq!(error.message, format!("no server answers at {endpoint}; start one with `looms serve`"));
}

#[tokio::test]
async fn a_server_that_went_away_is_unreachable() {
    let mut server = start(Answers::default().message("get_health", &HealthStatus::default()));
    let client = connect(&server.endpoint()).await.unwrap();
    client.get_health(GetHealthRequest {}).await.unwrap();
    server.kill();
    // The first call after the end may still meet the old connection: both outcomes name the same code.
    for _ in 0..2 {
        let error = client.get_health(GetHealthRequest {}).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ServerUnreachable, "{error:?}");
    }
}

#[tokio::test]
async fn a_call_is_never_repeated() {
    let refusal = Answer::Refusal(Code::Unavailable, "later".into(), Vec::new());
    let mut server = start(Answers::default().answer("get_health", refusal));
    let client = connect(&server.endpoint()).await.unwrap();
    client.get_health(GetHealthRequest {}).await.unwrap_err();
    assert_eq!(server.seen.recv().await.unwrap().rpc, "get_health");
    assert!(server.seen.try_recv().is_err());
}
