//! What clients are told at the end of a turn, made of what is stored, so that it can be told again.

use std::sync::Arc;
use std::time::Duration;

use loom_agent::{CallOutcome, Failure, Limit, Limits, Outcome};
use loom_base::{ErrorCode, Timestamp};
use loom_store::{NewTurn, TurnEnd};

use crate::accept::time_over;
use crate::core::Core;
use crate::drive::Over;
use crate::story::Story;
use crate::{ContextUse, Error, Progress, TurnFailure, TurnReport, TurnResult};

/// The last item of the turn's feed.
pub(crate) fn last_item(accepted: &NewTurn, story: &Story, end: &TurnEnd) -> Progress {
    let report = report(accepted, story, end);
    let text = end.notes.partial_text.clone().unwrap_or_else(|| story.seen.text.clone());
    let error = match &end.outcome {
        Outcome::Finished { finish, .. } => {
            let table = story.seen.table.clone();
            return Progress::Completed(Arc::new(TurnResult { text, finish: *finish, table, report }));
        }
        Outcome::Failed(Failure::Limit { limit: Limit::Deadline }) => {
            time_over(time_given(&accepted.config.limits, accepted.accepted_at))
        }
        Outcome::Failed(failure) => Error::of_failure(failure),
        Outcome::Cancelled => Error::new(ErrorCode::Cancelled, "the turn was cancelled"),
    };
    Progress::Failed(Arc::new(TurnFailure { error, partial_text: text, report }))
}

/// The time that a turn was given: the agent's, or the caller's where that is less.
fn time_given(limits: &Limits, accepted_at: Timestamp) -> Duration {
    let callers = limits.deadline.map(|deadline| deadline.since(accepted_at));
    callers.into_iter().chain(limits.time).min().unwrap_or_default()
}

pub(crate) fn report(accepted: &NewTurn, story: &Story, end: &TurnEnd) -> TurnReport {
    let notes = &end.notes;
    TurnReport {
        spent: *story.turn.spent(),
        priced: notes.priced,
        provider: accepted.provider.clone(),
        model: notes.model.clone().unwrap_or_else(|| accepted.model.clone()),
        pattern: accepted.pattern.clone(),
        duration: end.ended_at.since(accepted.accepted_at),
        first_text: notes.first_text,
        context: ContextUse {
            used: notes.context_used,
            room: notes.context_room,
            messages_dropped: notes.messages_dropped,
        },
        rom: accepted.rom,
        tools: notes.tools.clone().into(),
    }
}

/// Tells the feed how the turn ended, and counts it.
pub(crate) fn publish(core: &Core, over: &Over) {
    let Over { story, accepted, end, agent_name, .. } = over;
    let report = report(accepted, story, end);
    let outcome = turn_outcome_name(&end.outcome);
    core.metrics.turns.add([agent_name, outcome], 1);
    core.metrics.turn_seconds.observe([agent_name], report.duration);
    let estimated = u64::try_from(report.spent.estimated_cost.as_nanos()).unwrap_or(0);
    core.metrics.llm_estimated_cost_nano_usd.add([&report.provider, &accepted.model], estimated);
    let usage = report.spent.usage;
    tracing::info!(
        outcome,
        llm.provider = %report.provider,
        llm.model = %report.model,
        llm.input_tokens = usage.input + usage.cache_read + usage.cache_write,
        llm.output_tokens = usage.output,
        llm.cost_usd = report.cost().as_dollars(),
        llm.latency_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        model_calls = report.spent.model_calls,
        tool_calls = report.spent.tool_calls,
        pattern = accepted.pattern.as_ref().map(|used| used.name.as_str()),
        "turn ended"
    );
    story.tell_end(accepted, end);
}

/// The name of a call's outcome, for metrics and traces.
pub(crate) const fn outcome_name(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Succeeded => "succeeded",
        CallOutcome::Failed => "failed",
        CallOutcome::Denied => "denied",
        CallOutcome::OverLimit => "over_limit",
        CallOutcome::Cancelled => "cancelled",
        CallOutcome::Unknown => "unknown",
    }
}

/// The name of a turn's outcome, for metrics and traces.
pub(crate) fn turn_outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Finished { .. } => "finished",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
    }
}
