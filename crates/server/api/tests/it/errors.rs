//! One error in its two languages.

use http::StatusCode;
use loom_api::Failure;
use loom_base::ErrorCode;
use loom_proto::v1::WeaveRequest;

use crate::setup::{json, start};

fn weave(query: &str) -> WeaveRequest {
    WeaveRequest { query: query.into(), ..WeaveRequest::default() }
}

#[tokio::test]
async fn over_http_it_is_a_problem() {
    let server = start().await;
    let response = server.post("/v1/weave", r#"{"query": "refused"}"#).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["x-request-id"], "req_00000000000000000000000000000000");
    insta::assert_json_snapshot!(json(response).await);

    let response = server.post("/v1/weave", r#"{"query": "overloaded"}"#).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(json(response).await["retryAfterSeconds"], 2.5);
}

#[tokio::test]
async fn over_grpc_it_is_a_status_with_details() {
    let server = start().await;
    let mut client = server.client().await;
    let status = client.weave(weave("refused")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    let failure = Failure::from_status(&status);
    assert_eq!(failure.code, ErrorCode::AgentNotFound);
    assert_eq!(failure.metadata["agent_id"], "x");

    let failure = Failure::from_status(&client.weave(weave("overloaded")).await.unwrap_err());
    assert_eq!(failure.retry_after.unwrap().as_millis(), 2500);
    assert_eq!(client.weave(weave("fine")).await.unwrap().get_ref().text, "fine");
}

#[tokio::test]
async fn a_caller_may_name_its_request() {
    let server = start().await;
    let request = http::Request::get("/v1/nothing").header("x-request-id", "mine-1");
    let response = server.send(request, "").await;
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    assert_eq!(json(response).await["requestId"], "mine-1");
}

#[tokio::test]
async fn a_message_that_does_not_decode_is_the_caller_s_error() {
    let server = start().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    for path in ["/loom.v1.LoomService/Weave", "/loom.v1.LoomService/StreamWeave"] {
        client.ready().await.unwrap();
        // Field 1, which is a text in the requests of these, with bytes that are no UTF-8.
        let codec = tonic_prost::ProstCodec::<Vec<u8>, loom_proto::v1::WeaveResponse>::default();
        let request = tonic::Request::new(vec![0xff, 0xfe]);
        let status = client.unary(request, path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let failure = Failure::from_status(&status);
        assert_eq!(failure.code, ErrorCode::InvalidArgument);
        assert!(failure.message.contains("UTF-8"), "{failure:?}");
        assert!(!status.details().is_empty());
    }
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_page() {
    let server = start().await;
    let problem = json(server.post("/v1/weave", r#"{"query": "refused"}"#).await).await;
    let page = server.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["content-type"], "text/markdown; charset=utf-8");
    assert!(crate::setup::text(page).await.starts_with("# LOOM_AGENT_NOT_FOUND\n"));
    assert_eq!(server.get("/errors/LOOM_NOTHING").await.status(), StatusCode::NOT_FOUND);
}
