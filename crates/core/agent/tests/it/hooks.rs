//! Hooks in the life of a turn: where they run, in which order, and what their answers mean.

use std::sync::Arc;

use loom_agent::{
    CallKind, CallOutcome, CallState, Effect, Event, EventKind, Failure, HookOutcome, HookPoint, HookSaid,
    Outcome, Turn, TurnConfig, Verdict,
};
use loom_base::{NanoUsd, Timestamp, TurnId};
use loom_llm::{FinishReason, Usage};
use loom_tools::EffectClass;
use uuid::Uuid;

use crate::world::{call, hooks_at, message};

fn turn(points: &[HookPoint]) -> Turn {
    let config = TurnConfig { hooks: hooks_at(points), ..TurnConfig::default() };
    Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), config)
}

fn tell(turn: &mut Turn, kind: EventKind) -> Vec<Effect> {
    turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap()
}

fn start(turn: &mut Turn) -> Vec<Effect> {
    tell(turn, EventKind::UserMessage { message: message(1) })
}

fn goes_on(effect: u32) -> EventKind {
    EventKind::HookDone { effect, proceed: true, said: None }
}

fn denied(effect: u32) -> EventKind {
    let said = HookSaid { outcome: HookOutcome::Denied, text: "not on Sundays".into() };
    EventKind::HookDone { effect, proceed: false, said: Some(said) }
}

fn answer(effect: u32, calls: u16) -> EventKind {
    let tool = |id| call(id, EffectClass::Pure, Verdict::Allow, CallKind::Tool);
    EventKind::LlmDone {
        effect,
        message: message(2),
        finish: FinishReason::Stop,
        usage: Usage::default(),
        estimated: false,
        cost: NanoUsd::ZERO,
        calls: (0..calls).map(tool).collect(),
        calls_granted: None,
    }
}

/// The hook that an event led to: its point, its name and its effect.
fn hook(effects: &[Effect]) -> (HookPoint, &str, u32) {
    let last = effects.last().and_then(|effect| match effect {
        Effect::RunHook { effect, point, hook } => Some((*point, &*hook.name, effect.number)),
        _ => None,
    });
    last.expect("a hook is asked for")
}

#[test]
fn every_point_is_come_to_in_its_place_and_hooks_of_one_point_run_one_after_the_other() {
    let mut points = HookPoint::ALL.to_vec();
    points.push(HookPoint::BeforeModel);
    let mut turn = turn(&points);
    assert_eq!(hook(&start(&mut turn)), (HookPoint::SessionStart, "hook-0", 1));
    assert_eq!(hook(&tell(&mut turn, goes_on(1))), (HookPoint::TurnStart, "hook-1", 2));
    assert_eq!(hook(&tell(&mut turn, goes_on(2))), (HookPoint::BeforeModel, "hook-2", 3));
    assert_eq!(hook(&tell(&mut turn, goes_on(3))), (HookPoint::BeforeModel, "hook-5", 4));
    assert!(matches!(tell(&mut turn, goes_on(4))[..], [Effect::CallLlm { .. }]));
    assert_eq!(hook(&tell(&mut turn, answer(5, 1))), (HookPoint::AfterModel, "hook-3", 6));
    assert!(matches!(tell(&mut turn, goes_on(6))[..], [Effect::RunTool { .. }]));
    let done = EventKind::ToolDone { effect: 7, succeeded: true };
    assert_eq!(hook(&tell(&mut turn, done)), (HookPoint::AfterTools, "hook-4", 8));
    assert_eq!(hook(&tell(&mut turn, goes_on(8))), (HookPoint::BeforeModel, "hook-2", 9));
    tell(&mut turn, goes_on(9));
    tell(&mut turn, goes_on(10));
    tell(&mut turn, answer(11, 0));
    tell(&mut turn, goes_on(12));
    assert!(matches!(turn.outcome(), Some(Outcome::Finished { .. })));
}

#[test]
fn a_denial_ends_the_turn_at_any_point_and_says_whose_it_was() {
    for point in HookPoint::ALL {
        let mut turn = turn(&[point]);
        let mut effects = start(&mut turn);
        for step in [answer(1, 1), EventKind::ToolDone { effect: 2, succeeded: true }] {
            if !matches!(effects.last(), Some(Effect::RunHook { .. })) {
                effects = tell(&mut turn, step);
            }
        }
        let (at, _, effect) = hook(&effects);
        assert_eq!(at, point);
        tell(&mut turn, denied(effect));
        let (hook, reason): (Arc<str>, Arc<str>) = ("hook-0".into(), "not on Sundays".into());
        let failure = Failure::Hook { point, hook: Some(hook), reason: Some(reason) };
        assert_eq!(turn.outcome(), Some(&Outcome::Failed(failure)));
        assert!(turn.calls().iter().all(|call| matches!(call.state, CallState::Done(_))));
    }
}

#[test]
fn calls_of_an_answer_that_a_hook_denied_never_run_and_read_denied() {
    for (end, outcome) in
        [(denied(2), CallOutcome::Denied), (EventKind::CancelRequested, CallOutcome::Cancelled)]
    {
        let mut turn = turn(&[HookPoint::AfterModel]);
        start(&mut turn);
        tell(&mut turn, answer(1, 2));
        let effects = tell(&mut turn, end);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::RunTool { .. })));
        assert!(turn.calls().iter().all(|call| call.state == CallState::Done(outcome)));
    }
}

#[test]
fn a_hook_that_is_out_is_asked_for_again_under_its_id_and_name() {
    let mut turn = turn(&[HookPoint::BeforeModel, HookPoint::BeforeModel]);
    start(&mut turn);
    let asked = tell(&mut turn, goes_on(1));
    assert_eq!(turn.outstanding_effects(Timestamp::from_micros(9)), asked);
}

#[test]
fn a_turn_that_was_stored_before_there_were_hooks_has_none() {
    let stored: TurnConfig = serde_json::from_str(r#"{"hooks":[]}"#).unwrap();
    assert!(stored.hooks.is_empty());
    let json = serde_json::to_value(TurnConfig { hooks: hooks_at(&HookPoint::ALL), ..stored }).unwrap();
    assert_eq!(serde_json::from_value::<TurnConfig>(json).unwrap().hooks, hooks_at(&HookPoint::ALL));
    assert!(serde_json::from_str::<TurnConfig>(r#"{"hooks":["after_tools"]}"#).is_err());
}
