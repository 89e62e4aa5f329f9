//! Turns that end, fail, break off, are found again, and are left.

use std::sync::Arc;

use futures::StreamExt as _;
use loom_base::ErrorCode;
use loom_grpc::{CONNECT_TIMEOUT, Client, RequestKey, TurnStream};
use loom_proto::v1::{
    ExecutionStage, StreamMode, StreamTurnRequest, WeaveProgress, WeaveRequest, WeaveResponse,
};
use loom_testkit::{CountingIds, ManualClock};
use tokio::time::Duration;
use tonic::Code;

use crate::server::{Answers, End, Running, delta, details, event, start};

/// More than any pause.
const A_WHILE: Duration = Duration::from_mins(1);

fn request() -> WeaveRequest {
    WeaveRequest { query: "how many?".into(), cancel_on_disconnect: true, ..WeaveRequest::default() }
}

async fn connect(server: &Running) -> (Client, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let client = Client::connect(&server.endpoint(), CONNECT_TIMEOUT, Arc::clone(&clock) as _).await.unwrap();
    (client, clock)
}

async fn turn(events: Vec<WeaveProgress>, end: End) -> (Running, TurnStream) {
    let server = start(Answers::default().turn(events, end));
    let (client, _) = connect(&server).await;
    (server, client.stream_weave(request(), None))
}

/// `event` with an id, as a server of ours sends it.
fn at(id: &str, event: WeaveProgress) -> WeaveProgress {
    WeaveProgress { event_id: format!("turn_1.{id}"), ..event }
}

fn away() -> End {
    End::Refuses(Code::Unavailable, "later".into(), details("LOOM_SHUTTING_DOWN", ("a", "b")))
}

/// The next item, while time passes.
async fn next(
    stream: &mut TurnStream,
    clock: &ManualClock,
) -> Option<Result<WeaveProgress, loom_grpc::Error>> {
    let waiting = async {
        loop {
            clock.until_sleeping(1).await;
            clock.advance(A_WHILE);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        item = stream.next() => item,
        () = waiting => None,
    }
}

#[tokio::test]
async fn a_whole_answer_in_one_call() {
    let answer = WeaveResponse { text: "five".into(), ..WeaveResponse::default() };
    let mut server = start(Answers::default().message("weave", &answer));
    let (client, _) = connect(&server).await;
    assert_eq!(client.weave(request()).await.unwrap(), answer);
    let seen = server.seen.recv().await.unwrap();
    assert_eq!(seen.timeout, None, "a turn has the limits of its agent, not one of ours");
}

#[tokio::test]
async fn events_come_in_order_until_the_last() {
    let sent = vec![delta("fi"), delta("ve"), event(ExecutionStage::Completed)];
    let (mut server, stream) = turn(sent.clone(), End::Ends).await;
    let received: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(received, sent);
    let asked: WeaveRequest = server.asked("stream_weave").await;
    assert_eq!(asked.stream_mode(), StreamMode::Delta);
    assert!(asked.cancel_on_disconnect);
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
    server.asked::<WeaveRequest>("stream_weave").await;
    assert_eq!(server.seen.recv().await.unwrap().rpc, "dropped");
}

#[tokio::test]
async fn a_turn_that_was_cut_off_is_found_again_after_the_last_event() {
    let restarted = WeaveProgress { generation_restarted: true, ..event(ExecutionStage::LlmGeneration) };
    let rest = vec![
        at("1.0.0", restarted),
        at("1.0.1", delta("five")),
        at("1.1.0", event(ExecutionStage::Completed)),
    ];
    let answers = Answers::default()
        .turn(vec![at("0.0.1", delta("fi"))], away())
        .turn(Vec::new(), away())
        .turn(rest.clone(), End::Ends);
    let mut server = start(answers);
    let (client, clock) = connect(&server).await;
    let mut stream = client.stream_weave(request(), None);
    let mut seen = Vec::new();
    while let Some(event) = next(&mut stream, &clock).await {
        seen.push(event.unwrap());
    }
    assert_eq!(seen[0].delta, "fi");
    assert_eq!(seen[1..], rest);
    server.asked::<WeaveRequest>("stream_weave").await;
    for _ in 0..2 {
        server.asked::<WeaveRequest>("dropped").await;
        let again: StreamTurnRequest = server.asked("stream_turn").await;
        assert_eq!((again.turn_id.as_str(), again.after_event_id.as_str()), ("turn_1", "turn_1.0.0.1"));
        assert_eq!(again.stream_mode(), StreamMode::Delta);
    }
    server.asked::<WeaveRequest>("dropped").await;
    assert!(server.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_does_not_come_back_is_given_up() {
    let (mut server, mut stream, clock) = {
        let server = start(Answers::default().turn(vec![at("0.0.1", delta("fi"))], End::Hangs));
        let (client, clock) = connect(&server).await;
        (server, client.stream_weave(request(), None), clock)
    };
    stream.next().await.unwrap().unwrap();
    server.kill();
    let error = next(&mut stream, &clock).await.unwrap().unwrap_err();
    assert_eq!((error.code, error.metadata["turn_id"].as_str()), (ErrorCode::ServerUnreachable, "turn_1"));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_turn_that_cannot_go_on_is_not_looked_for_again() {
    let refusal =
        End::Refuses(Code::FailedPrecondition, "stuck".into(), details("LOOM_TURN_QUARANTINED", ("a", "b")));
    let answers = Answers::default().turn(vec![at("0.0.1", delta("fi"))], away()).turn(Vec::new(), refusal);
    let server = start(answers);
    let (client, clock) = connect(&server).await;
    let mut stream = client.stream_turn(StreamTurnRequest { turn_id: "turn_1".into(), ..Default::default() });
    next(&mut stream, &clock).await.unwrap().unwrap();
    let error = next(&mut stream, &clock).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::TurnQuarantined);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_question_is_asked_again_only_under_its_key() {
    let answers = || {
        Answers::default()
            .turn(Vec::new(), away())
            .turn(vec![at("0.1.0", event(ExecutionStage::Completed))], End::Ends)
    };
    let mut server = start(answers());
    let (client, clock) = connect(&server).await;
    let mut stream = client.stream_weave(request(), None);
    assert_eq!(next(&mut stream, &clock).await.unwrap().unwrap_err().code, ErrorCode::ShuttingDown);
    assert_eq!(server.seen.recv().await.unwrap().key, None);
    server.asked::<WeaveRequest>("dropped").await;
    assert!(server.seen.try_recv().is_err());

    let mut server = start(answers());
    let (client, clock) = connect(&server).await;
    let ids = CountingIds::default();
    let mut stream = client.stream_weave(request(), Some(RequestKey::new(&ids)));
    next(&mut stream, &clock).await.unwrap().unwrap();
    let first = server.seen.recv().await.unwrap();
    server.asked::<WeaveRequest>("dropped").await;
    let second = server.seen.recv().await.unwrap();
    assert!(first.key.is_some());
    assert_eq!((first.rpc, first.key, first.request), (second.rpc, second.key, second.request));
    assert_ne!(RequestKey::new(&ids), RequestKey::new(&ids));
}
