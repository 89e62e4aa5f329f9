//! Conversations, typed line by line.

use std::io::BufReader;

use loom_base::ErrorCode;
use loom_cli::{ChatArgs, Error, Exit, Format, Input, Interrupts, chat};
use loom_proto::v1::{ExecutionStage, GetSessionRequest, GetTraceRequest, Session, WeaveRequest};
use serde_json::Value;
use tonic::Code;

use crate::asking::{completed, trace};
use crate::server::{Answers, End, delta, details, event, start};
use crate::setup::{Written, connect, looms, with_io};

fn answers() -> Answers {
    let turn = |text| vec![delta(text), completed(text)];
    Answers::default()
        .turn(turn("One."), End::Ends)
        .turn(turn("Two."), End::Ends)
        .message("get_trace", &trace())
}

#[tokio::test]
async fn a_conversation_stays_in_its_session() {
    let mut server = start(answers());
    let (text, ended) =
        looms(&server, "chat --agent shop", "\nfirst\n/reset\nsecond\n/trace\n/hlep\n/quit\nnever asked\n")
            .await;
    ended.unwrap();
    insta::assert_snapshot!(text);
    let first: WeaveRequest = server.asked("stream_weave").await;
    assert_eq!((first.query.as_str(), first.session_id.as_str()), ("first", ""));
    assert_eq!((first.agent_id.as_str(), first.reset_context), ("shop", false));
    server.asked::<loom_proto::v1::WeaveRequest>("dropped").await;
    let second: WeaveRequest = server.asked("stream_weave").await;
    assert_eq!((second.query.as_str(), second.session_id.as_str()), ("second", "sess_1"));
    assert!(second.reset_context);
    server.asked::<loom_proto::v1::WeaveRequest>("dropped").await;
    let traced: GetTraceRequest = server.asked("get_trace").await;
    assert_eq!(traced.trace_id, "turn_1");
    assert!(server.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_reset_is_for_one_question() {
    let session = Session { id: "sess_1".into(), ..Session::default() };
    let mut server = start(answers().message("get_session", &session));
    let (_, ended) = looms(&server, "chat --session sess_1", "/reset\nfirst\nsecond").await;
    ended.unwrap();
    assert_eq!(server.asked::<GetSessionRequest>("get_session").await.session_id, "sess_1");
    let first: WeaveRequest = server.asked("stream_weave").await;
    assert_eq!((first.session_id.as_str(), first.reset_context), ("sess_1", true));
    server.asked::<loom_proto::v1::WeaveRequest>("dropped").await;
    let second: WeaveRequest = server.asked("stream_weave").await;
    assert!(!second.reset_context);
}

#[tokio::test]
async fn as_json_each_turn_is_one_line() {
    let server = start(answers());
    let (text, ended) = looms(&server, "chat --json", "first\nsecond\n").await;
    ended.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["partialContent"], &lines[1]["sessionId"]), (&"One.".into(), &"sess_1".into()));
    assert_eq!(lines[0]["stage"], "EXECUTION_STAGE_COMPLETED");
}

#[tokio::test]
async fn of_plain_lines_the_first_failure_ends_the_chat() {
    let refusal =
        End::Refuses(Code::NotFound, "no agent".into(), details("LOOM_AGENT_NOT_FOUND", ("a", "b")));
    let mut server = start(Answers::default().turn(vec![event(ExecutionStage::Failed)], refusal));
    let (_, ended) = looms(&server, "chat", "first\nsecond\n").await;
    let error = ended.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    let Error::Server(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code, ErrorCode::AgentNotFound);
    assert_eq!(server.asked::<WeaveRequest>("stream_weave").await.query, "first");
    server.asked::<loom_proto::v1::WeaveRequest>("dropped").await;
    assert!(server.seen.try_recv().is_err(), "the second line was asked");
}

#[tokio::test]
async fn an_interrupt_between_questions_leaves() {
    let server = start(answers());
    let client = connect(&server).await;
    // A reader that never answers: the other end stays open and silent.
    let (silent, _open) = std::io::pipe().unwrap();
    let input = Input::Lines(Box::new(BufReader::new(silent)));
    let (written, interrupts) = (Written::new(), Interrupts::default());
    let args = ChatArgs::default();
    let work = async |io: &mut loom_cli::Io<'_>| chat(&client, &args, Format::Text, io).await;
    let chatting = with_io(&written, input, &interrupts, work);
    let interrupting = async {
        // `join!` polls in order, so the chat already waits.
        tokio::task::yield_now().await;
        interrupts.raise();
    };
    let (ended, ()) = tokio::join!(chatting, interrupting);
    ended.unwrap();
}
