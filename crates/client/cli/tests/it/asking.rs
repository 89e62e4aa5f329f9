//! One question and its trace, as `quickstart` shows them.

use loom_base::ErrorCode;
use loom_cli::{Asked, Error, Input, Interrupts, Outcome, Question, ask};
use loom_proto::v1::{
    CancelTurnRequest, CancelTurnResponse, ContextState, CostInfo, ExecutionStage, LlmCost, Span, Trace,
    WeaveProgress, WeaveRequest,
};
use prost::Message as _;
use tonic::Code;

use crate::server::{Answers, End, Running, delta, details, event, start};
use crate::setup::{Written, connect, with_io};

pub(crate) fn completed(text: &str) -> WeaveProgress {
    let llm_cost = LlmCost {
        input_tokens: 1_200,
        output_tokens: 34,
        model: "offline".into(),
        provider: "offline".into(),
        ..LlmCost::default()
    };
    let context_state =
        ContextState { context_tokens_used: 900, context_tokens_max: 9_000, ..ContextState::default() };
    WeaveProgress {
        progress: 100,
        partial_content: text.into(),
        cost: Some(CostInfo { llm_cost: Some(llm_cost), ..CostInfo::default() }),
        context_state: Some(context_state),
        ..event(ExecutionStage::Completed)
    }
}

pub(crate) fn trace() -> Trace {
    let root = Span {
        id: "a".into(),
        name: "invoke_agent".into(),
        duration_us: 42_000,
        status: "ok".into(),
        ..Span::default()
    };
    let tool = Span {
        id: "b".into(),
        parent_id: "a".into(),
        name: "execute_tool query".into(),
        start_time_us: 5,
        duration_us: 3_000,
        status: "ok".into(),
        attributes: [("loom.tool.query".into(), "SELECT 5".into())].into(),
        ..Span::default()
    };
    Trace {
        id: "0af7651916cd43dd8448eb211c80319c".into(),
        session_id: "sess_1".into(),
        spans: vec![root, tool],
        total_duration_ms: 42,
        ..Trace::default()
    }
}

async fn asked(server: &Running, question: Question) -> (String, Result<Asked, Error>) {
    let client = connect(server).await;
    let written = Written::new();
    let interrupts = Interrupts::default();
    let work = async |io: &mut loom_cli::Io<'_>| ask(&client, &question, io).await;
    let asked = with_io(&written, Input::Nothing, &interrupts, work).await;
    (written.text(), asked)
}

fn question() -> Question {
    Question { text: "how many?".into(), agent: Some("shop".into()), ..Question::default() }
}

#[tokio::test]
async fn an_answer_is_followed_by_its_trace() {
    let events = vec![delta("Fi"), delta("ve.\n"), completed("Five.\n")];
    let mut server = start(Answers::default().turn(events, End::Ends).message("get_trace", &trace()));
    let (text, asked) = asked(&server, question()).await;
    let expected = Asked {
        session_id: "sess_1".into(),
        turn_id: "turn_1".into(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        answer: "Five.\n".into(),
        outcome: Outcome::Answered,
    };
    assert_eq!(asked.unwrap(), expected);
    insta::assert_snapshot!(text);
    let seen = server.seen.recv().await.unwrap();
    assert_eq!((seen.rpc, seen.timeout), ("stream_weave", None), "a turn has the limits of its agent");
    assert!(seen.key.is_some(), "it can be asked again");
    let request = WeaveRequest::decode(seen.request.as_slice()).unwrap();
    assert_eq!((request.query.as_str(), request.agent_id.as_str()), ("how many?", "shop"));
    assert!(!request.cancel_on_disconnect && request.enable_trace && !request.reset_context);
}

#[tokio::test]
async fn a_failed_turn_shows_its_trace_and_is_the_error() {
    let failed = WeaveProgress { message: "no key".into(), ..event(ExecutionStage::Failed) };
    let refusal =
        End::Refuses(Code::FailedPrecondition, "no key".into(), details("LOOM_CREDENTIAL", ("a", "b")));
    let answers = Answers::default().turn(vec![delta("Hm"), failed], refusal).message("get_trace", &trace());
    let server = start(answers);
    let (text, asked) = asked(&server, question()).await;
    let Err(Error::Server(error)) = asked else { panic!("{asked:?}") };
    assert_eq!(error.code, ErrorCode::Credential);
    assert!(text.starts_with("Hm\n\ntrace 0af7651916cd43dd8448eb211c80319c"), "{text}");
}

#[tokio::test]
async fn a_refused_question_has_no_trace() {
    let refusal =
        End::Refuses(Code::InvalidArgument, "empty".into(), details("LOOM_EMPTY_QUERY", ("a", "b")));
    let server = start(Answers::default().turn(vec![], refusal));
    let (text, asked) = asked(&server, Question::default()).await;
    let Err(Error::Server(error)) = asked else { panic!("{asked:?}") };
    assert_eq!((error.code, text.as_str()), (ErrorCode::EmptyQuery, ""));
}

/// Asks a question while `meanwhile` interrupts.
async fn interrupted(
    server: &mut Running,
    meanwhile: impl AsyncFnOnce(&mut Running, &Written, &Interrupts),
) -> (String, Asked) {
    let client = connect(server).await;
    let (written, interrupts) = (Written::new(), Interrupts::default());
    let question = question();
    let work = async |io: &mut loom_cli::Io<'_>| ask(&client, &question, io).await;
    let asked = with_io(&written, Input::Nothing, &interrupts, work);
    let (asked, ()) = tokio::join!(asked, meanwhile(server, &written, &interrupts));
    (written.text(), asked.unwrap())
}

#[tokio::test]
async fn an_interrupt_cancels_the_turn() {
    let answers = Answers::default().turn(vec![delta("Fi")], End::Hangs);
    let mut server = start(answers.message("cancel_turn", &CancelTurnResponse {}));
    let (text, asked) = interrupted(&mut server, async |_, written, interrupts| {
        written.until("Fi").await;
        interrupts.raise();
    })
    .await;
    assert_eq!((asked.outcome, asked.session_id.as_str()), (Outcome::Cancelled, "sess_1"));
    assert_eq!(text, "Fi\ncancelled\n");
    server.asked::<WeaveRequest>("stream_weave").await;
    assert_eq!(server.asked::<CancelTurnRequest>("cancel_turn").await.turn_id, "turn_1");
    assert_eq!(server.seen.recv().await.unwrap().rpc, "dropped");
}

#[tokio::test]
async fn a_question_that_is_not_accepted_yet_is_left_by_a_second_interrupt() {
    let mut server = start(Answers::default().turn(Vec::new(), End::Hangs));
    let (text, asked) = interrupted(&mut server, async |server, written, interrupts| {
        server.asked::<WeaveRequest>("stream_weave").await;
        interrupts.raise();
        written.until("as soon as it is accepted").await;
        interrupts.raise();
    })
    .await;
    assert_eq!((asked.outcome, asked.turn_id.as_str()), (Outcome::Left, ""));
    insta::assert_snapshot!(text);
}
