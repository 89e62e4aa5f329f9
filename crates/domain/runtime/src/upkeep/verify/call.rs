//! The tool calls of a turn: each that was asked has its row, and a result when the turn is over.

use std::collections::BTreeMap;

use loom_agent::{CallOutcome, CallRequest, CallState, Effect, Event, EventKind, Turn};
use loom_base::{CallId, Digest, MessageId};
use loom_store::{Stored, ToolCallRecord};

use super::Findings;

/// The calls that a journal tells of.
#[derive(Default)]
pub(super) struct Calls {
    answer: Option<MessageId>,
    asked: BTreeMap<(MessageId, CallId), Told>,
}

/// What the journal tells of one call.
struct Told {
    request: CallRequest,
    outcome: Option<CallOutcome>,
    /// How often it got a result.
    settled: u32,
}

impl Calls {
    /// Takes in an event that `turn` has just taken in, and what followed.
    pub(super) fn take(&mut self, event: &Event, turn: &Turn, effects: &[Effect]) {
        // An answer that came after the end is only settled; its calls were never asked.
        if let EventKind::LlmDone { message, calls, .. } = &event.kind
            && calls.len() == turn.calls().len()
            && calls.iter().zip(turn.calls()).all(|(asked, call)| *asked == call.request)
        {
            self.answer = Some(*message);
            for request in calls {
                let told = Told { request: request.clone(), outcome: None, settled: 0 };
                self.asked.insert((*message, request.id.clone()), told);
            }
        }
        if let EventKind::BudgetExceeded { raise: Some(raise), .. } = &event.kind
            && turn.calls().iter().any(|call| call.request == raise.call)
        {
            self.answer = Some(raise.message);
            let told = Told { request: raise.call.clone(), outcome: None, settled: 0 };
            self.asked.insert((raise.message, raise.call.id.clone()), told);
        }
        let Some(answer) = self.answer else { return };
        for effect in effects {
            let Effect::Settled { call } = effect else { continue };
            let state = turn.calls().iter().find(|known| known.request.id == *call);
            if let Some(told) = self.asked.get_mut(&(answer, call.clone()))
                && let Some(CallState::Done(outcome)) = state.map(|call| call.state)
            {
                told.outcome = Some(outcome);
                told.settled += 1;
            }
        }
    }

    /// Compares what is stored with what the journal tells.
    pub(super) fn compare(
        mut self,
        turn: &str,
        stored: &[Stored<ToolCallRecord>],
        has_ended: bool,
        findings: &mut Findings<'_>,
    ) {
        let mut all_decode = true;
        for row in stored {
            match &row.row {
                Ok(record) => match self.asked.remove(&(record.message, record.call.clone())) {
                    Some(told) => compare_one(turn, record, &told, has_ended, findings),
                    None => findings.say(named(turn, &record.call), "no answer of the journal asks for it"),
                },
                Err(error) => {
                    all_decode = false;
                    findings.undecoded(format_args!("tool call {} of {turn}", row.place), error);
                }
            }
        }
        if all_decode {
            for (_, call) in self.asked.into_keys() {
                findings.say(named(turn, &call), "an answer asks for it, and it is not stored");
            }
        }
    }
}

fn named(turn: &str, call: &CallId) -> String {
    format!("call {call} of {turn}")
}

fn compare_one(
    turn: &str,
    record: &ToolCallRecord,
    told: &Told,
    has_ended: bool,
    findings: &mut Findings<'_>,
) {
    let what = named(turn, &record.call);
    findings.compare(&what, "its tool", &record.tool.as_str(), &&*told.request.tool);
    if record.class != told.request.class {
        findings.say(&what, "its effect class is stored otherwise than its journal has it");
    }
    if Digest::of_json(&record.arguments) != told.request.arguments {
        findings.say(&what, "its arguments are not those of the journal's digest");
    }
    if record.outcome != told.outcome {
        let name =
            |outcome: Option<CallOutcome>| outcome.map_or_else(|| "none".to_owned(), |it| format!("{it:?}"));
        findings.compare(&what, "its outcome", &name(record.outcome), &name(told.outcome));
    }
    if has_ended && told.settled != 1 {
        findings.say(&what, format_args!("it got {} results, and its turn is over", told.settled));
    }
}
