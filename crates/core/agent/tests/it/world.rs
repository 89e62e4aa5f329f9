//! A random world around a turn: it answers effects in any order, late, twice and wrongly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use loom_agent::{
    ApprovalTime, Backoff, BudgetScope, CallKind, CallRequest, CallState, Effect, Event, EventKind,
    HookEntry, HookOutcome, HookPoint, HookSaid, Hooks, Limits, Measure, OnExceeded, OnFailure, OnUnknown,
    RaiseRequest, Resolution, Turn, TurnConfig, Verdict,
};
use loom_base::{CallId, Digest, EffectId, MessageId, NanoUsd, Timestamp, TurnId};
use loom_llm::{FinishReason, Usage};
use loom_tools::EffectClass;
use proptest::prelude::*;
use uuid::Uuid;

/// What an open effect is, as its effect said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    Model,
    Tool,
    Hook,
    Timer,
    Approval,
    Question,
    Delegation,
    Compaction,
}

pub(crate) struct World {
    pub(crate) turn: Turn,
    pub(crate) config: TurnConfig,
    pub(crate) journal: Vec<Event>,
    pub(crate) open: BTreeMap<u32, Asked>,
    pub(crate) closed: BTreeSet<u32>,
    pub(crate) finishes: usize,
    pub(crate) attempts_of_answer: u32,
    pub(crate) most_attempts: u32,
    pub(crate) results: BTreeMap<CallId, usize>,
    answers: usize,
    choices: std::vec::IntoIter<u16>,
}

pub(crate) fn configs() -> impl Strategy<Value = TurnConfig> {
    let limits = (
        1..6_u32,
        0..8_u32,
        1..5_u32,
        1..4_u32,
        1..4_u32,
        prop::option::of(0..400_u64),
        prop::option::of(0..400_i64),
        prop::option::of(1..1_000_i64),
    );
    let limits = limits.prop_map(
        |(model_calls, tool_calls, calls_per_answer, parallel_calls, attempts, tokens, cost, deadline)| {
            Limits {
                model_calls,
                tool_calls,
                calls_per_answer,
                parallel_calls,
                attempts,
                tokens,
                cost: cost.map(NanoUsd::from_nanos),
                time: deadline.map(|micros| Duration::from_micros(micros.unsigned_abs() % 50)),
                deadline: deadline.map(Timestamp::from_micros),
            }
        },
    );
    let points: Vec<_> = HookPoint::ALL.into_iter().chain(HookPoint::ALL).collect();
    let hooks = prop::sample::subsequence(points, 0..=10);
    (limits, hooks, any::<bool>()).prop_map(|(limits, hooks, tell)| TurnConfig {
        limits,
        backoff: Backoff::default(),
        on_unknown: if tell { OnUnknown::Tell } else { OnUnknown::Wait },
        approval_time: ApprovalTime(Duration::from_micros(8)),
        hooks: hooks_at(&hooks),
        on_exceeded: OnExceeded::default(),
    })
}

/// A hook of its own for each of `points`.
pub(crate) fn hooks_at(points: &[HookPoint]) -> Hooks {
    let mut hooks = Hooks::default();
    for (number, point) in points.iter().enumerate() {
        let name = format!("hook-{number}").into();
        let (class, on_failure) = (EffectClass::Unsafe, OnFailure::Closed);
        hooks.add(*point, HookEntry { name, class, on_failure });
    }
    hooks
}

impl World {
    pub(crate) fn new(config: TurnConfig, choices: Vec<u16>) -> Self {
        let turn = Turn::new(TurnId::from_uuid(Uuid::from_u128(9)), config.clone());
        Self {
            turn,
            config,
            journal: Vec::new(),
            open: BTreeMap::new(),
            closed: BTreeSet::new(),
            finishes: 0,
            attempts_of_answer: 0,
            most_attempts: 0,
            results: BTreeMap::new(),
            answers: 0,
            choices: choices.into_iter(),
        }
    }

    /// Lives until the choices are used up; the first event is the user's message.
    pub(crate) fn live(&mut self) {
        self.tell(EventKind::UserMessage { message: message(0) });
        while let Some(choice) = self.choices.next() {
            let event = self.invent(choice);
            self.tell(event);
        }
    }

    /// Applies an event, checks every invariant that holds after each step, and keeps the journal.
    pub(crate) fn tell(&mut self, kind: EventKind) -> Vec<Effect> {
        let event = Event::new(Timestamp::from_micros(i64::try_from(self.journal.len()).unwrap()), kind);
        let before = self.turn.clone();
        let was_over = before.outcome().is_some();
        if matches!(event.kind, EventKind::BudgetExceeded { .. }) {
            // It was not made, so it is no attempt.
            self.attempts_of_answer = self.attempts_of_answer.saturating_sub(1);
        }
        let Ok(effects) = self.turn.apply(&event) else {
            assert_eq!(self.turn, before, "a refused event changes nothing");
            return Vec::new();
        };
        if let Some(number) = event.kind.effect() {
            if before.outstanding().any(|open| open == number) {
                if !self.turn.outstanding().any(|open| open == number) && self.open.remove(&number).is_some()
                {
                    assert!(self.closed.insert(number), "effect {number} was closed twice");
                }
            } else {
                assert!(effects.is_empty(), "a late answer asks for nothing");
                assert_eq!(before.state(), self.turn.state(), "a late answer changes no state");
                assert_eq!(before.calls(), self.turn.calls(), "a late answer changes no result");
            }
        }
        if was_over {
            assert!(effects.is_empty(), "a turn that is over asks for nothing");
        }
        if matches!(event.kind, EventKind::CancelRequested) {
            assert!(self.turn.outcome().is_some(), "cancel ends a turn in one step");
        }
        self.answers += usize::from(matches!(event.kind, EventKind::LlmDone { .. }));
        self.journal.push(event);
        for effect in &effects {
            self.take(effect);
        }
        self.check();
        effects
    }

    fn take(&mut self, effect: &Effect) {
        match effect {
            Effect::CallLlm { attempt, .. } => {
                assert!(
                    self.turn.calls().iter().all(|call| matches!(call.state, CallState::Done(_))),
                    "every call has its result before the model is asked again"
                );
                self.attempts_of_answer = if *attempt == 1 { 1 } else { self.attempts_of_answer + 1 };
                self.most_attempts = self.most_attempts.max(self.attempts_of_answer);
            }
            Effect::Cancel { effect: EffectId { number, .. } } => {
                assert!(self.open.remove(number).is_some(), "only what is open is cancelled");
                assert!(self.closed.insert(*number), "effect {number} was closed twice");
            }
            Effect::Settled { call } => {
                *self.results.entry(CallId::new(format!("{}:{call}", self.answers))).or_default() += 1;
            }
            Effect::Finish(_) => self.finishes += 1,
            _ => {}
        }
        let Some(asked) = asked_by(effect) else { return };
        let number = effect.opens().expect("the others were handled above").number;
        assert!(!self.closed.contains(&number), "numbers are never used again");
        assert!(self.open.insert(number, asked).is_none(), "numbers are never used twice");
    }

    fn check(&self) {
        let outstanding: Vec<_> = self.turn.outstanding().collect();
        assert_eq!(outstanding, self.open.keys().copied().collect::<Vec<_>>());
        let limits = &self.config.limits;
        let running = self.open.values().filter(|asked| matches!(asked, Asked::Tool | Asked::Delegation));
        let unknown = |call: &&loom_agent::Call| matches!(call.state, CallState::AwaitingResolution(_));
        let waiting = self.turn.calls().iter().filter(unknown).count();
        assert!(running.count() <= limits.parallel_calls as usize + waiting);
        assert!(self.turn.spent().model_calls <= limits.model_calls);
        assert!(self.turn.spent().tool_calls <= limits.tool_calls);
        assert!(self.most_attempts <= limits.attempts);
        assert!(self.results.values().all(|count| *count == 1), "one result for each call");
        if self.turn.outcome().is_some() {
            assert!(self.open.is_empty(), "nothing stays open after the end");
            assert_eq!(self.finishes, 1);
            assert!(self.turn.calls().iter().all(|call| matches!(call.state, CallState::Done(_))));
        } else {
            assert!(!self.open.is_empty(), "a turn that is not over waits for something");
        }
    }

    /// An event made from `choice`: mostly a fitting answer to something open, sometimes a late, repeated, foreign or
    /// wrong one.
    fn invent(&mut self, choice: u16) -> EventKind {
        let numbers: Vec<_> = self.open.iter().map(|(number, asked)| (*number, *asked)).collect();
        let pick = usize::from(choice >> 8);
        match (choice % 32, numbers.get(pick % numbers.len().max(1)).copied()) {
            (0, _) if choice.is_multiple_of(5) => EventKind::CancelRequested,
            (2, _) => EventKind::UserMessage { message: message(1) },
            (3..=5, _) | (_, None) => {
                let closed: Vec<_> = self.closed.iter().copied().collect();
                let number = closed.get(pick % closed.len().max(1)).copied().unwrap_or(u32::from(choice));
                self.answer(number, Asked::Model, choice)
            }
            (6, Some((number, _))) => self.answer(number, Asked::Hook, choice),
            (_, Some((number, asked))) => self.answer(number, asked, choice),
        }
    }

    fn answer(&mut self, effect: u32, asked: Asked, choice: u16) -> EventKind {
        let more = self.choices.next().unwrap_or(choice);
        let usage = Usage { input: u64::from(more % 50), output: u64::from(more % 7), ..Usage::default() };
        let cost = NanoUsd::from_nanos(i64::from(more % 60));
        let good = !more.is_multiple_of(4);
        match asked {
            Asked::Model if good => EventKind::LlmDone {
                effect,
                message: message(u128::from(effect)),
                finish: FinishReason::Stop,
                usage,
                estimated: more.is_multiple_of(5),
                cost,
                calls: calls(more),
                calls_granted: more.is_multiple_of(8).then(|| u32::from(more % 3)),
            },
            Asked::Model if more.is_multiple_of(16) => EventKind::BudgetExceeded {
                effect,
                scope: BudgetScope::Session,
                measure: Measure::Tokens,
                raise: more.is_multiple_of(32).then(|| {
                    let id = u16::try_from(effect % 1_000).unwrap();
                    let call = call(1_000 + id, EffectClass::Pure, Verdict::Ask, CallKind::Raise);
                    Box::new(RaiseRequest { message: message(0), call })
                }),
            },
            Asked::Model if more.is_multiple_of(12) => {
                EventKind::LlmLost { effect, times: u32::from(more % 3), usage, cost }
            }
            Asked::Model => EventKind::LlmFailed {
                effect,
                code: "LOOM_LLM_UNAVAILABLE".into(),
                message: "gone".into(),
                retryable: !more.is_multiple_of(3),
                too_long: more.is_multiple_of(5),
                retry_after: more.is_multiple_of(9).then(|| Duration::from_secs(u64::from(more % 100))),
                usage,
                cost,
            },
            Asked::Tool if more % 5 == 1 => EventKind::ToolUnknown { effect },
            Asked::Tool if more % 5 == 2 => EventKind::EffectResolved {
                effect,
                resolution: match more % 3 {
                    0 => Resolution::Happened,
                    1 => Resolution::DidNotHappen,
                    _ => Resolution::GiveUp,
                },
                by: "operator".into(),
            },
            Asked::Tool => EventKind::ToolDone { effect, succeeded: good },
            Asked::Hook => EventKind::HookDone {
                effect,
                proceed: !more.is_multiple_of(8),
                said: more.is_multiple_of(3).then(|| HookSaid {
                    outcome: if more.is_multiple_of(8) {
                        HookOutcome::Denied
                    } else {
                        HookOutcome::Annotated
                    },
                    text: "because".into(),
                }),
            },
            Asked::Timer => EventKind::TimerFired { effect },
            Asked::Approval if good => EventKind::Approved { effect, by: "operator".into() },
            Asked::Approval => {
                EventKind::Denied { effect, by: None, reason: more.is_multiple_of(3).then(|| "no".into()) }
            }
            Asked::Question => EventKind::Answered { effect },
            Asked::Delegation => EventKind::DelegateDone { effect, succeeded: good, usage, cost },
            Asked::Compaction => EventKind::CompactDone { effect, freed: good },
        }
    }
}

/// What `effect` asks for, when it asks for something.
pub(crate) const fn asked_by(effect: &Effect) -> Option<Asked> {
    Some(match effect {
        Effect::CallLlm { .. } => Asked::Model,
        Effect::RunTool { .. } => Asked::Tool,
        Effect::RunHook { .. } => Asked::Hook,
        Effect::StartTimer { .. } => Asked::Timer,
        Effect::RequestApproval { .. } => Asked::Approval,
        Effect::AskUser { .. } => Asked::Question,
        Effect::Delegate { .. } => Asked::Delegation,
        Effect::Compact { .. } => Asked::Compaction,
        Effect::Cancel { .. } | Effect::Settled { .. } | Effect::Finish(_) => return None,
    })
}

pub(crate) fn message(number: u128) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn call(id: u16, class: EffectClass, verdict: Verdict, kind: CallKind) -> CallRequest {
    let id = CallId::new(format!("call-{id}"));
    CallRequest { id, tool: "tool".into(), kind, class, verdict, arguments: Digest::of("{}") }
}

fn calls(seed: u16) -> Vec<CallRequest> {
    let one = |number: u16| {
        let mixed = seed.rotate_left(u32::from(number) * 3).wrapping_mul(31);
        let class =
            [EffectClass::Pure, EffectClass::Idempotent, EffectClass::Transactional, EffectClass::Unsafe];
        let verdict = [Verdict::Allow, Verdict::Allow, Verdict::Ask, Verdict::Deny];
        let kind = [CallKind::Tool, CallKind::Tool, CallKind::Question, CallKind::Delegation];
        let at = |shift: u32| usize::from(mixed >> shift) % 4;
        call(number, class[at(2)], verdict[at(5)], kind[at(8)])
    };
    // Sometimes two calls share an id, which the machine must refuse whole.
    let doubled = if seed.is_multiple_of(97) { vec![one(0)] } else { Vec::new() };
    (0..seed % 6).map(one).chain(doubled).collect()
}
