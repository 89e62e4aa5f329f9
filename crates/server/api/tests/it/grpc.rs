//! Reflection and health, as their own clients see them.

use futures::StreamExt as _;
use tokio_stream::iter;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::setup::start;

const SERVICES: [&str; 3] = ["grpc.health.v1.Health", "grpc.reflection", "loom.v1.LoomService"];

fn assert_lists_all(names: &[String]) {
    for wanted in SERVICES {
        assert!(names.iter().any(|name| name.starts_with(wanted)), "{wanted} is not in {names:?}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let server = start().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let ask = |message| v1::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let asked = iter([
        ask(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ask(v1::server_reflection_request::MessageRequest::FileContainingSymbol(
            "loom.v1.LoomService".into(),
        )),
    ]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    assert_lists_all(&list.service.into_iter().map(|service| service.name).collect::<Vec<_>>());
    let Some(v1::server_reflection_response::MessageResponse::FileDescriptorResponse(files)) =
        answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("no file")
    };
    assert!(
        files.file_descriptor_proto[0].windows(8).any(|bytes| bytes == b"/v1/weav"),
        "the routes are kept"
    );

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let asked = iter([v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    }]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    assert_lists_all(&list.service.into_iter().map(|service| service.name).collect::<Vec<_>>());
}

#[tokio::test]
async fn health_follows_readiness_and_its_watch_ends_with_the_server() {
    let server = start().await;
    let mut client = HealthClient::new(server.channel().await);
    let service = HealthCheckRequest { service: "loom.v1.LoomService".into() };
    let mut watch = client.watch(service).await.unwrap().into_inner();
    // The first word may come before the server has reported itself.
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    server.ready.send(false).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    server.stop.cancel();
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    drop((watch, client));
    server.stopped.await.unwrap();
}

#[tokio::test]
async fn an_rpc_that_is_not_served_is_unimplemented() {
    let server = start().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/loom.v1.LoomService/ExecuteWorkflow");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}
