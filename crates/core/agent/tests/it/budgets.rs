//! A driver that reserves the worst case before each call, over random budgets, calls and losses.

use loom_agent::{
    Amounts, Budget, BudgetScope, CallKind, Effect, Event, EventKind, Failure, Limits, Measure, ModelCall,
    OnExceeded, Outcome, RaiseRequest, Turn, TurnConfig, Verdict,
};
use loom_base::{NanoUsd, Timestamp, TurnId};
use loom_llm::{FinishReason, Prices, Usage};
use proptest::prelude::*;
use uuid::Uuid;

use crate::world::{call, message};
use loom_tools::EffectClass;

#[derive(Clone, Copy, Debug)]
struct Call {
    input: u64,
    output: u32,
    /// What it uses of that, in hundredths; a part of what it reads is written to the cache.
    used: u64,
    lost: u32,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (1..5_000_u64, 1..4_000_u32, 0..=100_u64, prop_oneof![4 => Just(0_u32), 1 => 1..3_u32]);
    prop::collection::vec(
        call.prop_map(|(input, output, used, lost)| Call { input, output, used, lost }),
        1..8,
    )
}

fn prices() -> impl Strategy<Value = Prices> {
    let nanos = || (0..30_000_000_000_i64).prop_map(NanoUsd::from_nanos);
    (nanos(), nanos(), nanos(), nanos()).prop_map(|(input, output, cache_read, cache_write)| Prices {
        input,
        output,
        cache_read,
        cache_write,
    })
}

fn used(call: Call, output: u64) -> Usage {
    let part = |amount: u64| amount * call.used / 100;
    let (cache_read, cache_write) = (part(call.input) / 3, part(call.input) / 4);
    let input = part(call.input) - cache_read - cache_write;
    Usage { input, output: part(output), cache_read, cache_write }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However a turn's calls go, it never uses more than its budget, and stops only when the next one might.
    #[test]
    fn what_is_reserved_first_is_never_exceeded(
        calls in calls(),
        prices in prices(),
        cost in prop::option::of(0..200_000_000_i64),
        tokens in prop::option::of(0..30_000_u64),
        degrade in any::<bool>(),
    ) {
        let on_exceeded = if degrade { OnExceeded::Degrade } else { OnExceeded::Stop };
        let cost = cost.map(NanoUsd::from_nanos);
        let budget = Budget { cost, tokens, on_exceeded, ..Budget::default() };
        let limits = Limits { cost, tokens, model_calls: 100, attempts: 100, ..Limits::default() };
        let config = TurnConfig { limits, on_exceeded, ..TurnConfig::default() };
        let mut turn = Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), config);
        let tell = |turn: &mut Turn, kind| turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap();
        tell(&mut turn, EventKind::UserMessage { message: message(1) });
        for call in calls {
            if turn.outcome().is_some() {
                break;
            }
            let effect = turn.outstanding().last().unwrap();
            let wanted = ModelCall { input: call.input, output: call.output, tool_calls: 0, prices: Some(prices) };
            let left = |turn: &Turn| budget.limits().after(Amounts::from(turn.spent()));
            let mut held = wanted.within(&left(&turn), on_exceeded);
            for _ in 0..call.lost {
                let Ok(asked) = held else { break };
                let lost = asked.worst_case();
                let (usage, cost) = (lost.usage(), lost.cost);
                tell(&mut turn, EventKind::LlmLost { effect, times: 1, usage, cost });
                held = asked.within(&left(&turn), on_exceeded);
            }
            let event = match held {
                Ok(asked) => {
                    prop_assert!(asked.output <= wanted.output);
                    let usage = used(call, asked.output.into());
                    let (cost, worst) = (prices.cost(&usage), asked.worst_case());
                    prop_assert!(cost <= worst.cost && usage.total() <= worst.usage().total());
                    EventKind::LlmFailed {
                        effect, code: "LOOM_LLM_UNAVAILABLE".into(), message: "cut".into(), retryable: true,
                        too_long: false, retry_after: None, usage, cost,
                    }
                }
                Err(measure) => {
                    prop_assert!(left(&turn).exceeded_by(wanted.worst_case().call_amounts()).is_some());
                    EventKind::BudgetExceeded { effect, scope: BudgetScope::Turn, measure, raise: None }
                }
            };
            tell(&mut turn, event);
            // The wait before the next attempt.
            if let (None, Some(timer)) = (turn.outcome(), turn.outstanding().last()) {
                tell(&mut turn, EventKind::TimerFired { effect: timer });
            }
            let spent = Amounts::from(turn.spent());
            prop_assert_eq!(budget.limits().exceeded_by(spent), None, "{:?}", turn.spent());
            prop_assert!(turn.spent().estimated_cost <= turn.spent().cost);
        }
    }
}

#[test]
fn a_call_that_does_not_fit_ends_the_turn_and_says_which_budget() {
    let mut turn = Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), TurnConfig::default());
    let tell = |turn: &mut Turn, kind| turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap();
    tell(&mut turn, EventKind::UserMessage { message: message(1) });
    let (scope, measure) = (BudgetScope::Agent, Measure::Cost);
    tell(&mut turn, EventKind::BudgetExceeded { effect: 1, scope, measure, raise: None });
    let failed = Outcome::Failed(Failure::Budget { scope, measure });
    assert_eq!(turn.outcome(), Some(&failed));
    let text = serde_json::to_string(&failed).unwrap();
    assert_eq!(text, r#"{"outcome":"failed","failure":"budget","scope":"agent","measure":"cost"}"#);
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), failed);
}

#[test]
fn a_lost_call_is_counted_and_stays_out() {
    let mut turn = Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), TurnConfig::default());
    let tell = |turn: &mut Turn, kind| turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap();
    tell(&mut turn, EventKind::UserMessage { message: message(1) });
    let (usage, cost) = (Usage { input: 3, output: 4, ..Usage::default() }, NanoUsd::from_nanos(5));
    let lost = |effect| EventKind::LlmLost { effect, times: 2, usage, cost };
    assert_eq!(tell(&mut turn, lost(1)), []);
    assert_eq!((turn.spent().estimated_tokens, turn.spent().estimated_cost), (14, NanoUsd::from_nanos(10)));
    assert_eq!((turn.spent().usage.total(), turn.spent().cost), (14, NanoUsd::from_nanos(10)));
    let done = EventKind::LlmDone {
        effect: 1,
        message: message(2),
        finish: FinishReason::Stop,
        usage,
        estimated: false,
        cost,
        calls: Vec::new(),
        calls_granted: None,
    };
    tell(&mut turn, done);
    assert!(matches!(turn.outcome(), Some(Outcome::Finished { .. })));
    tell(&mut turn, lost(1));
    assert_eq!((turn.spent().usage.total(), turn.spent().estimated_tokens), (21, 14));
    assert!(turn.apply(&Event::new(Timestamp::from_micros(1), lost(9))).is_err());
}

#[test]
fn a_budget_is_raised_by_who_is_asked_or_the_turn_ends() {
    let (scope, measure) = (BudgetScope::Turn, Measure::Tokens);
    for approved in [true, false] {
        let limits = Limits { tokens: Some(100), ..Limits::default() };
        let config = TurnConfig { limits, on_exceeded: OnExceeded::Ask, ..TurnConfig::default() };
        let mut turn = Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), config);
        let tell = |turn: &mut Turn, kind| turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap();
        tell(&mut turn, EventKind::UserMessage { message: message(1) });
        let asked = call(7, EffectClass::Pure, Verdict::Ask, CallKind::Raise);
        let raise = Some(Box::new(RaiseRequest { message: message(1), call: asked }));
        let effects = tell(&mut turn, EventKind::BudgetExceeded { effect: 1, scope, measure, raise });
        let [Effect::RequestApproval { effect, .. }] = effects[..] else { panic!("{effects:?}") };
        assert!(turn.waits_for_people());
        let effect = effect.number;
        assert_eq!(turn.budget_left(Amounts::default()).of(Measure::Tokens), Some(100));
        if approved {
            let effects = tell(&mut turn, EventKind::Approved { effect, by: "boss".into() });
            assert!(
                matches!(effects[..], [Effect::Settled { .. }, Effect::CallLlm { attempt: 1, .. }]),
                "{effects:?}"
            );
            assert_eq!(turn.budget_left(Amounts::default()).of(Measure::Tokens), Some(200));
            assert_eq!(turn.spent().tool_calls, 0);
        } else {
            tell(&mut turn, EventKind::Denied { effect, by: None, reason: None });
            assert_eq!(turn.outcome(), Some(&Outcome::Failed(Failure::Budget { scope, measure })));
        }
    }
}

#[test]
fn a_turn_is_let_past_a_budget_that_it_shares_and_its_own_stays_as_it_is() {
    let (scope, measure) = (BudgetScope::Agent, Measure::Tokens);
    let limits = Limits { tokens: Some(100), ..Limits::default() };
    let mut turn =
        Turn::new(TurnId::from_uuid(Uuid::from_u128(1)), TurnConfig { limits, ..TurnConfig::default() });
    let tell = |turn: &mut Turn, kind| turn.apply(&Event::new(Timestamp::from_micros(1), kind)).unwrap();
    tell(&mut turn, EventKind::UserMessage { message: message(1) });
    let asked = call(7, EffectClass::Pure, Verdict::Ask, CallKind::Raise);
    let raise = Some(Box::new(RaiseRequest { message: message(1), call: asked }));
    let effects = tell(&mut turn, EventKind::BudgetExceeded { effect: 1, scope, measure, raise });
    let [Effect::RequestApproval { effect, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(turn.let_past().is_empty());
    tell(&mut turn, EventKind::Approved { effect: effect.number, by: "boss".into() });
    assert_eq!(turn.let_past().iter().collect::<Vec<_>>(), [&scope]);
    assert_eq!(turn.budget_left(Amounts::default()).of(Measure::Tokens), Some(100));
}
