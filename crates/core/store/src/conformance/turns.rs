//! Turns and their journals.

use loom_agent::{
    ApprovalTime, Backoff, CallKind, CallRequest, Event, EventKind, Failure, HookEntry, HookPoint, Hooks,
    Limits, OnExceeded, OnFailure, OnUnknown, Outcome as TurnOutcome, Turn, TurnConfig, Verdict,
};
use loom_base::{CallId, Digest, ErrorCode, NanoUsd, TraceId, TurnId};
use loom_llm::{FinishReason, Usage};
use loom_tools::EffectClass;
use uuid::Uuid;

use super::Outcome;
use super::fixture::{
    accept, agent_id, at, finished, follow, journal, message_id, new_turn, open_session, reload, same, spent,
    start, text, turn_id,
};
use crate::{Advance, EndNotes, NewTurn, Page, PatternUse, Stores, TurnEnd};

/// Two at one point, one at another.
fn hooks() -> Hooks {
    let mut hooks = Hooks::default();
    for (point, name) in
        [(HookPoint::AfterTools, "b"), (HookPoint::AfterTools, "a"), (HookPoint::SessionStart, "\u{1F9F6}\"")]
    {
        let (class, on_failure) = (EffectClass::Idempotent, OnFailure::Open);
        hooks.add(point, HookEntry { name: name.into(), class, on_failure });
    }
    hooks
}

pub(super) async fn a_journal_is_what_was_written(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let mut step = accept(&session, 1, "hello")?;
    let accepted = NewTurn {
        agent: agent_id("agent:7")?,
        config: TurnConfig {
            limits: Limits {
                tokens: Some(u64::from(u32::MAX)),
                cost: Some(NanoUsd::MAX),
                ..Limits::default()
            },
            backoff: Backoff::default(),
            on_unknown: OnUnknown::Tell,
            approval_time: ApprovalTime(std::time::Duration::from_secs(7)),
            hooks: hooks(),
            on_exceeded: OnExceeded::Degrade,
        },
        parent_span: Some("00f067aa0ba902b7".to_owned()),
        pattern: Some(PatternUse { name: "top-n".to_owned(), confidence: 0.1 + 0.2 }),
        ..new_turn(turn_id(1))?
    };
    step.accept = Some(accepted.clone());
    let mut events = step.events.clone();
    stores.turns.advance(step).await.map_err(text)?;
    let failed = EventKind::LlmFailed {
        effect: 1,
        code: "LOOM_LLM_RATE_LIMITED".to_owned(),
        message: "\0 \"quoted\" \u{1F9F6} \\u0041 {\"a\": 1}".to_owned(),
        retryable: true,
        too_long: false,
        retry_after: Some(std::time::Duration::from_millis(1_234)),
        usage: Usage { input: 1, ..Usage::default() },
        cost: NanoUsd::from_nanos(-1),
    };
    let outcome = TurnOutcome::Failed(Failure::Llm {
        code: ErrorCode::LlmUnavailable,
        message: "gone\n".to_owned(),
        retry_after: Some(std::time::Duration::from_millis(1_500)),
    });
    let notes = EndNotes {
        model: Some("m-1-2026".to_owned()),
        first_text: Some(std::time::Duration::from_micros(1_500)),
        context_used: 7,
        context_room: 9,
        messages_dropped: 1,
        priced: true,
        tools: vec!["query".into()],
        partial_text: Some("half\0".to_owned()),
    };
    let end = TurnEnd { outcome, ended_at: at(7), notes };
    let mut last = follow(&session, 1, 1);
    last.events = vec![Event::new(at(5), failed), Event::new(at(4), EventKind::CancelRequested)];
    last.spent = spent(11, 13);
    last.end = Some(end.clone());
    events.extend(last.events.clone());
    stores.turns.advance(last).await.map_err(text)?;

    let found = journal(&stores, 1).await?;
    same("what it is run by", &found.turn.accepted, &accepted)?;
    same("its session", &found.turn.session, &session.id)?;
    same("what it has used", &found.turn.spent, &spent(11, 13))?;
    same("how it ended", &found.turn.end, &Some(end))?;
    same("what happened", &found.events, &events)?;
    same("its calls", &found.calls, &Vec::new())
}

/// A small generator of numbers (`SplitMix64`), so that every run of the suite sees the same turns.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn event(&mut self, effect: u32) -> EventKind {
        let usage = Usage { input: self.below(100), output: self.below(100), ..Usage::default() };
        let cost = NanoUsd::from_nanos(i64::try_from(self.below(1000)).unwrap_or(0));
        match self.below(7) {
            5 => EventKind::LlmLost { effect, times: 2, usage, cost },
            0 => EventKind::LlmFailed {
                effect,
                code: "LOOM_LLM_UNAVAILABLE".to_owned(),
                message: "gone".to_owned(),
                retryable: true,
                too_long: false,
                retry_after: None,
                usage,
                cost,
            },
            1 => EventKind::TimerFired { effect },
            2 => EventKind::ToolUnknown { effect },
            3 => EventKind::Approved { effect, by: "someone".into() },
            4 => EventKind::ToolDone { effect, succeeded: self.below(2) == 0 },
            _ => EventKind::LlmDone {
                effect,
                message: message_id(u128::from(effect)),
                finish: FinishReason::ToolUse,
                usage,
                estimated: self.below(2) == 0,
                cost,
                calls: (0..self.below(4)).map(|number| self.call(number)).collect(),
                calls_granted: None,
            },
        }
    }

    fn call(&mut self, number: u64) -> CallRequest {
        let classes = [EffectClass::Pure, EffectClass::Idempotent, EffectClass::Unsafe];
        let verdicts = [Verdict::Allow, Verdict::Ask, Verdict::Deny];
        let pick = |index: u64| usize::try_from(index).unwrap_or(0);
        CallRequest {
            id: CallId::new(format!("c{number}")),
            tool: "tool".into(),
            kind: CallKind::Tool,
            class: classes.get(pick(self.below(3))).copied().unwrap_or(EffectClass::Unsafe),
            verdict: verdicts.get(pick(self.below(3))).copied().unwrap_or(Verdict::Deny),
            arguments: Digest::of("{}"),
        }
    }
}

pub(super) async fn random_turns_replay_to_the_same_state(stores: Stores) -> Outcome {
    for number in 1..=8 {
        let session = open_session(&stores, &format!("s-{number}")).await?;
        let mut numbers = Numbers(number);
        let number = u128::from(number);
        let mut step = accept(&session, number, "hello")?;
        let mut turn = Turn::new(turn_id(number), TurnConfig::default());
        turn.apply(step.events.first().ok_or("no first event")?).map_err(|error| error.to_string())?;
        let mut written = 0;
        // Whatever the machine takes is journaled, one to three events a step.
        for _ in 0..40 {
            let effect = u32::try_from(numbers.below(12)).unwrap_or(0);
            let event = Event::new(at(2), numbers.event(effect));
            if turn.apply(&event).is_ok() {
                step.events.push(event);
            }
            if step.events.len() as u64 > numbers.below(3) {
                step.spent = *turn.spent();
                written += u32::try_from(step.events.len()).unwrap_or(0);
                stores.turns.advance(step).await.map_err(text)?;
                step = Advance { events: Vec::new(), ..follow(&session, number, written) };
            }
        }
        if !step.events.is_empty() {
            step.spent = *turn.spent();
            stores.turns.advance(step).await.map_err(text)?;
        }
        let found = journal(&stores, number).await?;
        let replayed = Turn::replay(turn_id(number), found.turn.accepted.config, &found.events);
        same("the turn", &replayed.map_err(|error| error.to_string())?, &turn)?;
        same("what it has used", &found.turn.spent, turn.spent())?;
        same("its session's tokens", &reload(&stores, &session).await?.totals.usage, &turn.spent().usage)?;
    }
    Ok(())
}

pub(super) async fn totals_move_by_the_difference(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let mut step = accept(&session, 1, "hello")?;
    step.spent = spent(10, 100);
    stores.turns.advance(step).await.map_err(text)?;
    let mut step = follow(&session, 1, 1);
    step.spent = spent(25, 150);
    step.end = Some(finished(message_id(1)));
    stores.turns.advance(step).await.map_err(text)?;
    // A late result still counts what it used, and ends nothing again.
    let mut late = follow(&session, 1, 2);
    late.spent = spent(26, 151);
    stores.turns.advance(late).await.map_err(text)?;
    let now = reload(&stores, &session).await?;
    let mut second = accept(&now, 2, "and now?")?;
    second.spent = spent(100, 1000);
    stores.turns.advance(second).await.map_err(text)?;

    let totals = reload(&stores, &session).await?.totals;
    let usage = Usage { input: 126, output: 252, cache_read: 6, cache_write: 8 };
    same("tokens", &totals.usage, &usage)?;
    same("cost", &totals.cost, &NanoUsd::from_nanos(1151))?;
    same("turns and messages", &(totals.turns, totals.messages), &(1, 2))?;
    same("tool calls", &totals.tool_calls, &4)?;
    let estimated = (totals.estimated_tokens, totals.estimated_cost);
    same("what nobody counted", &estimated, &(126, NanoUsd::from_nanos(575)))?;
    same("work", &totals.worked, &std::time::Duration::from_micros(882))?;
    same("the end", &journal(&stores, 1).await?.turn.end, &Some(finished(message_id(1))))
}

pub(super) async fn unfinished_turns_are_found(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let unfinished = async || stores.turns.unfinished(&session.id).await.map_err(text);
    same("before", &unfinished().await?, &None)?;
    start(&stores, &session, 1, "hello").await?;
    same("meanwhile", &unfinished().await?, &Some(turn_id(1)))?;
    let mut step = follow(&session, 1, 1);
    step.end = Some(finished(message_id(1)));
    stores.turns.advance(step).await.map_err(text)?;
    same("after", &unfinished().await?, &None)
}

pub(super) async fn the_turns_of_a_trace_are_found(stores: Stores) -> Outcome {
    let trace = TraceId::of_turn(turn_id(77));
    let found = async |most| stores.turns.of_trace(trace, most).await.map_err(text);
    same("none", &found(3).await?, &Vec::new())?;
    for (number, accepted_at) in [(2, at(1)), (1, at(3)), (3, at(2))] {
        let session = open_session(&stores, &format!("s-{number}")).await?;
        let mut step = accept(&session, number, "hello")?;
        step.accept = Some(NewTurn { trace, accepted_at, ..new_turn(turn_id(number))? });
        stores.turns.advance(step).await.map_err(text)?;
    }
    same("all", &found(4).await?, &[2, 3, 1].map(turn_id).to_vec())?;
    same("the last", &found(2).await?, &[3, 1].map(turn_id).to_vec())
}

pub(super) async fn context_start_moves(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    let step = Advance { context_start: Some(1), ..accept(&session, 1, "hello")? };
    stores.turns.advance(step).await.map_err(text)?;
    same("moved", &reload(&stores, &session).await?.context_start, &1)?;
    let step = Advance { append_id: Uuid::from_u128(3), ..follow(&session, 1, 1) };
    stores.turns.advance(step).await.map_err(text)?;
    same("left", &reload(&stores, &session).await?.context_start, &1)
}

pub(super) async fn the_turns_of_a_session_are_listed_in_order(stores: Stores) -> Outcome {
    let session = open_session(&stores, "s").await?;
    for number in 1..=3_u64 {
        let now = reload(&stores, &session).await?;
        let mut step = accept(&now, u128::from(number), "hello")?;
        if let Some(new) = &mut step.accept {
            new.accepted_at = at(number);
        }
        step.end = Some(finished(message_id(number.into())));
        stores.turns.advance(step).await.map_err(text)?;
    }
    let found = async |offset, limit| -> Result<(Vec<TurnId>, u64), String> {
        let listed = stores.turns.of_session(&session.id, Page::new(offset, limit)).await.map_err(text)?;
        Ok((listed.items, listed.total))
    };
    same("all", &found(0, 0).await?, &((1..=3).map(turn_id).collect(), 3))?;
    same("a page", &found(1, 1).await?, &(vec![turn_id(2)], 3))?;
    same("beyond", &found(3, 1).await?, &(Vec::new(), 0))
}
