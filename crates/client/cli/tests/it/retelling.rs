//! Sessions that are told again, and sessions that go on from an earlier turn of another.

use loom_cli::Exit;
use loom_proto::v1::*;
use serde_json::Value;
use tonic::Code;

use crate::asking::completed;
use crate::server::{Answers, End, delta, details, event, start};
use crate::setup::looms;

fn told() -> Vec<WeaveProgress> {
    let second = |event: WeaveProgress| WeaveProgress { turn_id: "turn_2\u{1b}[2J".into(), ..event };
    let failed = WeaveProgress { message: "no such model".into(), ..event(ExecutionStage::Failed) };
    vec![delta("Five."), completed("Five."), second(delta("Si")), second(failed)]
}

#[tokio::test]
async fn a_session_is_told_turn_by_turn_or_event_by_event() {
    let mut server = start(Answers::default().turn(told(), End::Ends));
    let (text, ended) = looms(&server, "session replay sess_1", "").await;
    ended.unwrap();
    insta::assert_snapshot!("session_replay", text);
    assert_eq!(server.asked::<ReplaySessionRequest>("replay_session").await.session_id, "sess_1");
    let (text, ended) = looms(&server, "session replay sess_1 --json", "").await;
    ended.unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 4);
    assert_eq!((&events[0]["delta"], &events[3]["message"]), (&"Five.".into(), &"no such model".into()));
}

#[tokio::test]
async fn a_session_that_cannot_be_told_to_its_end_is_an_error() {
    let details = details("LOOM_STORE_CORRUPT", ("a", "b"));
    let broken = End::Refuses(Code::DataLoss, "does not replay".into(), details);
    let server = start(Answers::default().turn(told(), broken));
    let (text, ended) = looms(&server, "session replay sess_1 --json", "").await;
    assert_eq!(text.lines().count(), 4);
    let error = ended.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit()), ("does not replay", Exit::Failed));
}

#[tokio::test]
async fn a_fork_says_how_to_go_on() {
    let fork = Session { id: "sess_2".into(), ..Session::default() };
    let mut server = start(Answers::default().message("fork_session", &fork));
    let (text, ended) = looms(&server, "session fork sess_1 --at 2 --model m-2", "").await;
    ended.unwrap();
    assert_eq!(text, "session sess_2 goes on from session sess_1: `looms chat --session sess_2`\n");
    let expected = ForkSessionRequest {
        session_id: "sess_1".into(),
        at: 2,
        model: "m-2".into(),
        turn_id: String::new(),
    };
    assert_eq!(server.asked::<ForkSessionRequest>("fork_session").await, expected);
    let (text, _) = looms(&server, "session fork sess_1 --turn turn_7 --json", "").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["id"], "sess_2");
    assert_eq!(server.asked::<ForkSessionRequest>("fork_session").await.turn_id, "turn_7");
}
