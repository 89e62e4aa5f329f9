//! Turns, and what they wait for people for.

use std::io::Cursor;

use loom_cli::{ChatArgs, Error, Exit, Format, Input, Interrupts, chat};
use loom_proto::v1::*;
use serde_json::{Value, json};
use tonic::Code;

use crate::asking::completed;
use crate::server::{Answer, Answers, End, Running, delta, details, event, start};
use crate::setup::{Written, connect, looms, with_io};

/// A moment for tests.
const WHEN: i64 = 1_767_225_600;
const EFFECT: &str = "turn_0123456789abcdef0123456789abcdef.3";

async fn printed(server: &Running, line: &str) -> String {
    let (text, ended) = looms(server, line, "").await;
    ended.unwrap();
    text
}

/// A call that waits for an approval.
fn asks() -> WeaveProgress {
    let arguments = json!({ "amount": 5, "to": "Ann" });
    let request = HitlRequestInfo {
        request_id: EFFECT.into(),
        question: "May pay run with these arguments?".into(),
        request_type: "approval".into(),
        context_json: json!({ "arguments": arguments, "arguments_digest": "ab12" }).to_string(),
        options: vec!["approve".into(), "deny".into()],
        ..HitlRequestInfo::default()
    };
    WeaveProgress { hitl_request: Some(request), ..event(ExecutionStage::HumanInTheLoop) }
}

fn paying() -> Answers {
    Answers::default()
        .turn(vec![asks(), delta("Paid."), completed("Paid.")], End::Ends)
        .message("answer_approval", &AnswerApprovalResponse {})
}

/// A chat of a person who types `lines`.
async fn chat_of(server: &Running, lines: &'static str) -> (String, Result<(), Error>) {
    let client = connect(server).await;
    let written = Written::new();
    let args = ChatArgs::default();
    let input = Input::Person(Box::new(Cursor::new(lines)));
    let work = async |io: &mut loom_cli::Io<'_>| chat(&client, &args, Format::Text, io).await;
    let ended = with_io(&written, input, &Interrupts::default(), work).await;
    (written.text().replace(&server.endpoint(), "http://server"), ended)
}

/// The answer that the server got, whatever else it was asked.
async fn answered(server: &mut Running) -> AnswerApprovalRequest {
    got(server, "answer_approval").await
}

/// What the server was asked by that call.
async fn got<R: prost::Message + Default>(server: &mut Running, rpc: &str) -> R {
    loop {
        let seen = server.seen.recv().await.unwrap();
        if seen.rpc == rpc {
            return R::decode(seen.request.as_slice()).unwrap();
        }
    }
}

#[tokio::test]
async fn turns() {
    let unfinished = |turn_id: &str, quarantined| UnfinishedTurn {
        turn_id: turn_id.into(),
        session_id: "sess_1".into(),
        agent_id: "agent_1".into(),
        accepted_at: WHEN,
        recoveries: 2,
        quarantined,
        queued: turn_id == "turn_3",
    };
    let turns = vec![unfinished("turn_1", false), unfinished("turn_2", true), unfinished("turn_3", false)];
    let list = ListTurnsResponse { turns, total_count: 5 };
    let answers = Answers::default()
        .message("list_turns", &list)
        .message("cancel_turn", &CancelTurnResponse {})
        .turn(vec![delta("Five."), completed("Five.")], End::Ends);
    let mut server = start(answers);
    insta::assert_snapshot!("turn_list", printed(&server, "turn list --limit 2 --offset 1").await);
    let asked: ListTurnsRequest = server.asked("list_turns").await;
    assert_eq!((asked.limit, asked.offset), (2, 1));
    assert_eq!(printed(&server, "turn cancel turn_1").await, "turn turn_1 is over\n");
    assert_eq!(server.asked::<CancelTurnRequest>("cancel_turn").await.turn_id, "turn_1");
    insta::assert_snapshot!("turn_watch", printed(&server, "turn watch turn_1 --after turn_1.0.1.0").await);
    let asked: StreamTurnRequest = server.asked("stream_turn").await;
    assert_eq!((asked.turn_id.as_str(), asked.after_event_id.as_str()), ("turn_1", "turn_1.0.1.0"));
    server.asked::<StreamTurnRequest>("dropped").await;
    let last: Value = serde_json::from_str(&printed(&server, "turn watch turn_1 --json").await).unwrap();
    assert_eq!(last["partialContent"], "Five.");
    let empty = start(Answers::default().message("list_turns", &ListTurnsResponse::default()));
    assert_eq!(printed(&empty, "turn list").await, "no turn is unfinished\n");
}

#[tokio::test]
async fn effects() {
    let effect = UnknownEffect {
        effect_id: EFFECT.into(),
        turn_id: "turn_1".into(),
        session_id: "sess_1".into(),
        agent_id: "agent_1".into(),
        tool_name: "pay".into(),
        args_json: json!({ "note": "long ".repeat(40) + "\u{1b}[2J" }).to_string(),
        unknown_since: WHEN,
        turn_waits: true,
    };
    let over = UnknownEffect { turn_waits: false, ..effect.clone() };
    let list = ListEffectsResponse { effects: vec![effect, over], total_count: 2 };
    let answers = Answers::default()
        .message("list_effects", &list)
        .message("resolve_effect", &ResolveEffectResponse {});
    let mut server = start(answers);
    insta::assert_snapshot!("effect_list", printed(&server, "effect list").await);
    server.asked::<ListEffectsRequest>("list_effects").await;
    for (flags, said, resolution, result) in [
        ("--happened --result paid", "it happened", EffectResolution::Happened, "paid"),
        ("--did-not-happen", "it did not happen", EffectResolution::DidNotHappen, ""),
        ("--give-up", "nobody knows", EffectResolution::GiveUp, ""),
    ] {
        let text = printed(&server, &format!("effect resolve {EFFECT} {flags}")).await;
        assert_eq!(text, format!("effect {EFFECT} is resolved: {said}\n"));
        let asked: ResolveEffectRequest = server.asked("resolve_effect").await;
        assert_eq!(
            (asked.effect_id.as_str(), asked.resolution(), asked.result.as_str()),
            (EFFECT, resolution, result)
        );
    }
    let json = printed(&server, "effect list --json").await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["effects"][0]["turnWaits"], true);
}

#[tokio::test]
async fn approvals() {
    let approval = PendingApproval {
        approval_id: EFFECT.into(),
        turn_id: "turn_1".into(),
        session_id: "sess_1".into(),
        agent_id: "agent_1".into(),
        tool_name: "pay".into(),
        args_json: json!({ "amount": 5 }).to_string(),
        arguments_digest: "ab".repeat(32),
        expires_at: WHEN,
    };
    let list = ListApprovalsResponse { approvals: vec![approval], total_count: 1 };
    let answers = Answers::default()
        .message("list_approvals", &list)
        .message("answer_approval", &AnswerApprovalResponse {});
    let mut server = start(answers);
    insta::assert_snapshot!("approval_list", printed(&server, "approval list").await);
    server.asked::<ListApprovalsRequest>("list_approvals").await;
    let said = printed(&server, &format!("approval answer {EFFECT} --approve --digest ab12")).await;
    assert_eq!(said, format!("approval {EFFECT} is approved\n"));
    let asked: AnswerApprovalRequest = server.asked("answer_approval").await;
    assert_eq!((asked.approve, asked.arguments_digest.as_str(), asked.reason.as_str()), (true, "ab12", ""));
    let said = printed(&server, &format!("approval answer {EFFECT} --deny --reason no")).await;
    assert_eq!(said, format!("approval {EFFECT} is denied\n"));
    let asked: AnswerApprovalRequest = server.asked("answer_approval").await;
    assert_eq!((asked.approval_id.as_str(), asked.approve, asked.reason.as_str()), (EFFECT, false, "no"));
    let refusal = Answer::Refusal(
        Code::FailedPrecondition,
        "too late".into(),
        details("LOOM_APPROVAL_EXPIRED", ("a", "b")),
    );
    let server = start(Answers::default().answer("answer_approval", refusal));
    let (_, ended) = looms(&server, "approval answer x --approve", "").await;
    assert_eq!(ended.unwrap_err().exit(), Exit::Refused);
}

#[tokio::test]
async fn a_person_is_asked_until_yes_or_no_is_said() {
    let mut server = start(paying());
    let (text, ended) = chat_of(&server, "pay Ann\nwhat?\nyes\n").await;
    ended.unwrap();
    insta::assert_snapshot!(text);
    let said = answered(&mut server).await;
    assert_eq!((said.approval_id.as_str(), said.approve), (EFFECT, true));
    assert_eq!(said.arguments_digest, "ab12", "what was shown is what is approved");
}

#[tokio::test]
async fn a_person_answers_what_the_agent_asks() {
    let question = |options: &[&str]| WeaveProgress {
        hitl_request: Some(HitlRequestInfo {
            request_id: EFFECT.into(),
            question_id: EFFECT.into(),
            question: "Which year?".into(),
            request_type: "clarification".into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..HitlRequestInfo::default()
        }),
        ..event(ExecutionStage::HumanInTheLoop)
    };
    for (options, lines, expected) in [
        (&[][..], "sales\n\n the last one\n", "the last one"),
        (&["2025", "Both"], "sales\nall\nboth\n", "Both"),
    ] {
        let turn = vec![question(options), delta("There."), completed("There.")];
        let answers = Answers::default().turn(turn, End::Ends);
        let taken = AnswerClarificationResponse { success: true, accepted: true, ..Default::default() };
        let mut server = start(answers.message("answer_clarification_question", &taken));
        let (text, ended) = chat_of(&server, lines).await;
        ended.unwrap();
        assert!(text.contains("? Which year?") && text.contains("There."), "{text}");
        let said: AnswerClarificationRequest = got(&mut server, "answer_clarification_question").await;
        assert_eq!((said.question_id.as_str(), said.answer.as_str()), (EFFECT, expected));
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_told_and_the_turn_goes_on() {
    let refusal = Answer::Refusal(
        Code::NotFound,
        "nothing waits for it".into(),
        details("LOOM_APPROVAL_NOT_FOUND", ("a", "b")),
    );
    let mut server = start(paying().answer("answer_approval", refusal));
    let (text, ended) = chat_of(&server, "pay Ann\nn\n").await;
    ended.unwrap();
    assert!(text.contains("· nothing waits for it\n") && text.contains("Paid."), "{text}");
    assert!(!answered(&mut server).await.approve);
}

#[tokio::test]
async fn whoever_says_nothing_leaves_the_approval_pending() {
    let mut server = start(paying());
    let (text, ended) = chat_of(&server, "pay Ann\n").await;
    ended.unwrap();
    insta::assert_snapshot!(text);
    server.asked::<WeaveRequest>("stream_weave").await;
    assert_eq!(server.seen.recv().await.unwrap().rpc, "dropped");
    assert!(server.seen.try_recv().is_err(), "nothing was answered, and nothing cancelled");
}

#[tokio::test]
async fn plain_lines_are_no_answers() {
    let mut server = start(paying());
    let (text, ended) = looms(&server, "chat", "pay Ann\nyes\n").await;
    ended.unwrap();
    assert!(text.contains(&format!("looms approval answer {EFFECT} --approve | --deny")), "{text}");
    for question in ["pay Ann", "yes"] {
        assert_eq!(server.asked::<WeaveRequest>("stream_weave").await.query, question);
        assert_eq!(server.seen.recv().await.unwrap().rpc, "dropped");
    }
}

#[tokio::test]
async fn budgets() {
    let measure =
        |name: &str, limit, used, reserved| BudgetMeasure { name: name.into(), limit, used, reserved };
    let server = Budget {
        scope: "server".into(),
        per: "month".into(),
        measures: vec![measure("usd", None, 1.25, 0.0), measure("tokens", None, 0.0, 0.0)],
        estimated_usd: 0.25,
        estimated_tokens: 9_000,
        ..Budget::default()
    };
    let agent = Budget {
        scope: "agent".into(),
        agent_id: "agent_1".into(),
        agent_name: "analyst".into(),
        per: "day".into(),
        measures: vec![
            measure("usd", Some(50.0), 1.25, 0.02),
            measure("tokens", Some(20_000.0), 19_000.0, 2_000.0),
            measure("seconds", Some(3_600.0), 61.5, 0.0),
        ],
        ..Budget::default()
    };
    let session = Budget {
        session_id: "sess_1".into(),
        per: "total".into(),
        measures: vec![measure("tool_calls", Some(9.0), 4.0, 0.0)],
        scope: "session".into(),
        ..agent.clone()
    };
    let list = ListBudgetsResponse { budgets: vec![server, agent, session] };
    let mut server = start(Answers::default().message("list_budgets", &list));
    insta::assert_snapshot!("budget_list", printed(&server, "budget list --session sess_1").await);
    let asked: ListBudgetsRequest = server.asked("list_budgets").await;
    assert_eq!((asked.agent_id.as_str(), asked.session_id.as_str()), ("", "sess_1"));
    let server = start(Answers::default().message("list_budgets", &ListBudgetsResponse::default()));
    assert_eq!(printed(&server, "budget list").await, "no budget is set and nothing was used\n");
}
