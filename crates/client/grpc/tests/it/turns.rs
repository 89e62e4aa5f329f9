//! Turns that end, fail, break off, and are left.

use futures::StreamExt as _;
use loom_base::ErrorCode;
use loom_grpc::{CONNECT_TIMEOUT, Client, TurnStream};
use loom_proto::v1::{ExecutionStage, StreamMode, WeaveProgress, WeaveRequest, WeaveResponse};
use tonic::Code;

use crate::server::{Answers, End, Running, delta, details, event, start};

fn request() -> WeaveRequest {
    WeaveRequest { query: "how many?".into(), cancel_on_disconnect: true, ..WeaveRequest::default() }
}

async fn turn(events: Vec<WeaveProgress>, end: End) -> (Running, TurnStream) {
    let mut server = start(Answers::default().turn(events, end));
    let client = Client::connect(&server.endpoint(), CONNECT_TIMEOUT).await.unwrap();
    let stream = client.stream_weave(request()).await.unwrap();
    let asked: WeaveRequest = server.asked("stream_weave").await;
    assert_eq!(asked.stream_mode(), StreamMode::Delta);
    assert!(asked.cancel_on_disconnect);
    (server, stream)
}

#[tokio::test]
async fn a_whole_answer_in_one_call() {
    let answer = WeaveResponse { text: "five".into(), ..WeaveResponse::default() };
    let mut server = start(Answers::default().message("weave", &answer));
    let client = Client::connect(&server.endpoint(), CONNECT_TIMEOUT).await.unwrap();
    assert_eq!(client.weave(request()).await.unwrap(), answer);
    let seen = server.seen.recv().await.unwrap();
    assert_eq!(seen.timeout, None, "a turn has the limits of its agent, not one of ours");
}

#[tokio::test]
async fn events_come_in_order_until_the_last() {
    let sent = vec![delta("fi"), delta("ve"), event(ExecutionStage::Completed)];
    let (_server, stream) = turn(sent.clone(), End::Ends).await;
    let received: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_failed_turn_ends_with_its_error() {
    let details = details("LOOM_TURN_LIMIT", ("turn_id", "turn_1"));
    let refusal = End::Refuses(Code::ResourceExhausted, "too many rounds".into(), details);
    let (_server, mut stream) = turn(vec![event(ExecutionStage::Failed)], refusal).await;
    assert_eq!(stream.next().await.unwrap().unwrap().stage(), ExecutionStage::Failed);
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::TurnLimit, "too many rounds"));
    assert_eq!(error.metadata["turn_id"], "turn_1");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_an_error() {
    let (_server, mut stream) = turn(vec![delta("fi")], End::Ends).await;
    stream.next().await.unwrap().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::ServerUnreachable);
    assert!(error.message.contains("ended before the turn did"), "{error}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_dies_ends_the_stream_with_an_error() {
    let (mut server, mut stream) = turn(vec![delta("fi")], End::Hangs).await;
    stream.next().await.unwrap().unwrap();
    server.kill();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::ServerUnreachable, "{error:?}");
}

#[tokio::test]
async fn a_dropped_stream_is_known_to_the_server() {
    let (mut server, mut stream) = turn(vec![delta("fi")], End::Hangs).await;
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(server.seen.recv().await.unwrap().rpc, "dropped");
}
