//! Lives of a turn, written out.

use std::time::Duration;

use loom_agent::{
    CallKind, CallOutcome, CallRequest, CallState, Effect, Event, EventKind, Failure, Limit, Limits, Outcome,
    Turn, TurnConfig, Verdict,
};
use loom_base::{ErrorCode, NanoUsd, Timestamp, TurnId};
use loom_llm::{FinishReason, Usage};
use loom_tools::EffectClass;
use uuid::Uuid;

use crate::world::{call, message};

fn turn(limits: Limits) -> Turn {
    Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), TurnConfig { limits, ..TurnConfig::default() })
}

fn tell(turn: &mut Turn, kind: EventKind) -> Vec<Effect> {
    turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap()
}

fn start(turn: &mut Turn) -> Vec<Effect> {
    tell(turn, EventKind::UserMessage { message: message(1) })
}

fn answer(effect: u32, calls: Vec<CallRequest>) -> EventKind {
    let usage = Usage { input: 10, output: 5, ..Usage::default() };
    let cost = NanoUsd::from_nanos(7);
    EventKind::LlmDone {
        effect,
        message: message(2),
        finish: FinishReason::Stop,
        usage,
        estimated: false,
        cost,
        calls,
        calls_granted: None,
    }
}

fn failure(effect: u32, too_long: bool, retry_after: Option<Duration>) -> EventKind {
    EventKind::LlmFailed {
        effect,
        code: ErrorCode::LlmRateLimited.as_str().into(),
        message: "slow down".into(),
        retryable: true,
        too_long,
        retry_after,
        usage: Usage::default(),
        cost: NanoUsd::ZERO,
    }
}

fn tool(id: u16) -> CallRequest {
    call(id, EffectClass::Pure, Verdict::Allow, CallKind::Tool)
}

#[test]
fn a_tool_turn_ends_with_an_answer_and_the_sum_of_its_usage() {
    let mut turn = turn(Limits::default());
    assert!(matches!(start(&mut turn)[..], [Effect::CallLlm { attempt: 1, .. }]));
    let effects = tell(&mut turn, answer(1, vec![tool(1), tool(2)]));
    assert!(matches!(effects[..], [Effect::RunTool { .. }, Effect::RunTool { .. }]));
    assert!(matches!(
        tell(&mut turn, EventKind::ToolDone { effect: 3, succeeded: true })[..],
        [Effect::Settled { .. }]
    ));
    let effects = tell(&mut turn, EventKind::ToolDone { effect: 2, succeeded: false });
    assert!(matches!(effects[..], [Effect::Settled { .. }, Effect::CallLlm { attempt: 1, .. }]));
    tell(&mut turn, answer(4, Vec::new()));
    assert!(matches!(turn.outcome(), Some(Outcome::Finished { .. })));
    assert_eq!(turn.spent().usage.total(), 30);
    assert_eq!(turn.spent().cost, NanoUsd::from_nanos(14));
}

#[test]
fn a_thousand_calls_run_ten_and_refuse_the_rest_in_the_open() {
    let mut turn = turn(Limits { parallel_calls: 1_000, ..Limits::default() });
    start(&mut turn);
    let effects = tell(&mut turn, answer(1, (0..1_000).map(tool).collect()));
    let run = effects.iter().filter(|effect| matches!(effect, Effect::RunTool { .. })).count();
    assert_eq!(run, 10);
    let refused = turn.calls().iter().filter(|call| call.state == CallState::Done(CallOutcome::OverLimit));
    assert_eq!(refused.count(), 990);
}

#[test]
fn the_last_allowed_answer_runs_no_tools_for_nothing() {
    let mut turn = turn(Limits { model_calls: 1, ..Limits::default() });
    start(&mut turn);
    let effects = tell(&mut turn, answer(1, vec![tool(1)]));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::RunTool { .. })));
    let limit = Failure::Limit { limit: Limit::ModelCalls };
    assert_eq!(turn.outcome(), Some(&Outcome::Failed(limit)));
    assert_eq!(turn.calls()[0].state, CallState::Done(CallOutcome::OverLimit));
}

#[test]
fn a_provider_that_asks_for_a_wait_gets_it_and_one_that_asks_too_much_ends_the_turn() {
    let mut turn = turn(Limits::default());
    start(&mut turn);
    let effects = tell(&mut turn, failure(1, false, Some(Duration::from_secs(3))));
    assert!(
        matches!(effects[..], [Effect::StartTimer { delay, .. }] if delay == Duration::from_secs(3)),
        "{effects:?}"
    );
    let effects = tell(&mut turn, EventKind::TimerFired { effect: 2 });
    assert!(matches!(effects[..], [Effect::CallLlm { attempt: 2, .. }]));
    let hour = Some(Duration::from_hours(1));
    tell(&mut turn, failure(3, false, hour));
    assert!(matches!(
        turn.outcome(),
        Some(Outcome::Failed(Failure::Llm { retry_after, .. })) if *retry_after == hour
    ));
}

#[test]
fn backoff_grows_and_is_the_same_on_replay() {
    let delays = || {
        let mut turn = turn(Limits { attempts: 4, ..Limits::default() });
        start(&mut turn);
        let mut delays = Vec::new();
        for (call, timer) in [(1, 2), (3, 4), (5, 6)] {
            let effects = tell(&mut turn, failure(call, false, None));
            let Effect::StartTimer { delay, .. } = effects[0] else { panic!("{effects:?}") };
            delays.push(delay);
            tell(&mut turn, EventKind::TimerFired { effect: timer });
        }
        delays
    };
    let first = delays();
    assert_eq!(first, delays());
    assert!(first[0] >= Duration::from_millis(125) && first[0] <= Duration::from_millis(250));
    assert!(first[2] >= Duration::from_millis(500) && first[2] <= Duration::from_secs(1));
}

#[test]
fn a_context_that_is_too_long_is_compacted_once_and_sent_again() {
    let mut turn = turn(Limits::default());
    start(&mut turn);
    assert!(matches!(tell(&mut turn, failure(1, true, None))[..], [Effect::Compact { .. }]));
    let effects = tell(&mut turn, EventKind::CompactDone { effect: 2, freed: true });
    assert!(matches!(effects[..], [Effect::CallLlm { attempt: 2, .. }]));
}

#[test]
fn a_deadline_stops_everything() {
    let deadline = Some(Timestamp::from_micros(500));
    let mut turn = turn(Limits { deadline, ..Limits::default() });
    let effects = start(&mut turn);
    assert!(matches!(effects[0], Effect::StartTimer { delay, .. } if delay == Duration::from_micros(499)));
    let effects = tell(&mut turn, EventKind::TimerFired { effect: 1 });
    assert!(matches!(effects[..], [Effect::Cancel { .. }, Effect::Finish(_)]));
    assert_eq!(turn.outcome(), Some(&Outcome::Failed(Failure::Limit { limit: Limit::Deadline })));
}

#[test]
fn an_unsafe_call_cut_off_by_cancel_reads_unknown_and_a_pure_one_cancelled() {
    let mut turn = turn(Limits::default());
    start(&mut turn);
    let danger = call(2, EffectClass::Unsafe, Verdict::Allow, CallKind::Tool);
    tell(&mut turn, answer(1, vec![tool(1), danger]));
    tell(&mut turn, EventKind::CancelRequested);
    let outcomes: Vec<_> = turn.calls().iter().map(|call| call.state).collect();
    assert_eq!(outcomes, [CallState::Done(CallOutcome::Cancelled), CallState::Done(CallOutcome::Unknown)]);
}

fn at(turn: &mut Turn, micros: i64, kind: EventKind) -> Vec<Effect> {
    turn.apply(&Event::new(Timestamp::from_micros(micros), kind)).unwrap()
}

fn asking(turn: &mut Turn) -> Vec<Effect> {
    start(turn);
    let risky = call(1, EffectClass::Unsafe, Verdict::Ask, CallKind::Tool);
    tell(turn, answer(2, vec![risky]))
}

#[test]
fn waiting_for_people_takes_no_working_time() {
    let time = Some(Duration::from_micros(500));
    let mut turn = turn(Limits { time, ..Limits::default() });
    let effects = asking(&mut turn);
    assert!(
        matches!(effects[..], [Effect::RequestApproval { .. }, Effect::Cancel { effect }] if effect.number == 1)
    );
    assert!(turn.waits_for_people());
    let approved = EventKind::Approved { effect: 3, by: "someone".into() };
    let effects = at(&mut turn, 1_000_000, approved);
    let [Effect::RunTool { .. }, Effect::StartTimer { delay, .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(delay, Duration::from_micros(500));
}

#[test]
fn an_absolute_deadline_holds_while_people_are_waited_for() {
    let deadline = Some(Timestamp::from_micros(500));
    let mut turn = turn(Limits { deadline, ..Limits::default() });
    let effects = asking(&mut turn);
    let Some(Effect::StartTimer { effect, .. }) = effects.last() else { panic!("{effects:?}") };
    tell(&mut turn, EventKind::TimerFired { effect: effect.number });
    assert_eq!(turn.outcome(), Some(&Outcome::Failed(Failure::Limit { limit: Limit::Deadline })));
}

#[test]
fn an_approval_that_comes_too_late_runs_nothing() {
    let mut turn = turn(Limits::default());
    start(&mut turn);
    let risky = call(1, EffectClass::Unsafe, Verdict::Ask, CallKind::Tool);
    let effects = tell(&mut turn, answer(1, vec![risky]));
    let Effect::RequestApproval { effect, expires_at, .. } = effects[0] else { panic!("{effects:?}") };
    let late = EventKind::Approved { effect: effect.number, by: "someone".into() };
    let effects = at(&mut turn, expires_at.as_micros() + 1, late);
    assert!(matches!(effects[..], [Effect::Settled { .. }, Effect::CallLlm { .. }]), "{effects:?}");
    assert_eq!(turn.calls()[0].state, CallState::Done(CallOutcome::Denied));
}

#[test]
fn what_an_older_journal_does_not_say_is_not_known() {
    let failed: Outcome = serde_json::from_str(
        r#"{"outcome":"failed","failure":"llm","code":"LOOM_LLM_RATE_LIMITED","message":"later"}"#,
    )
    .unwrap();
    let Outcome::Failed(Failure::Llm { retry_after, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(retry_after, None);
    let mut answered = serde_json::to_value(answer(1, Vec::new())).unwrap();
    answered.as_object_mut().unwrap().remove("estimated");
    assert_eq!(serde_json::from_value::<EventKind>(answered).unwrap(), answer(1, Vec::new()));
}
