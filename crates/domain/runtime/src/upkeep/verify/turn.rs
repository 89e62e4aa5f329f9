//! One turn: its row is what the machine makes of its events.

use loom_agent::{Event, EventKind, Outcome, RULES_VERSION, Turn, TurnConfig};
use loom_base::{MessageId, Timestamp, TurnId};
use loom_store::{StoredTurn, TurnRecord};

use super::Findings;
use super::call::Calls;

/// Looks at a turn; returns the messages that its events name.
pub(super) fn check(id: TurnId, stored: &StoredTurn, findings: &mut Findings<'_>) -> Vec<MessageId> {
    let what = format!("turn {id}");
    findings.verified.events += stored.events.len() as u64;
    findings.verified.calls += stored.calls.len() as u64;
    let events = whole_journal(&what, stored, findings);
    let named = stored.events.iter().filter_map(|event| named_message(event.row.as_ref().ok()?)).collect();
    let record = match &stored.turn {
        Ok(record) => record,
        Err(error) => {
            findings.undecoded(&what, error);
            return named;
        }
    };
    if let Some(events) = events {
        if record.accepted.rules_version == RULES_VERSION {
            replay(&what, stored, record, &events, findings);
        } else {
            let version = record.accepted.rules_version;
            findings.say(&what, format_args!("ran by rules {version}, which this binary does not know"));
        }
    }
    named
}

/// The events, when they are all there, in order, and decode.
fn whole_journal<'a>(
    what: &str,
    stored: &'a StoredTurn,
    findings: &mut Findings<'_>,
) -> Option<Vec<&'a Event>> {
    let mut events = Vec::with_capacity(stored.events.len());
    let mut is_whole = true;
    let mut expected = 0;
    for event in &stored.events {
        if event.place != expected {
            is_whole = false;
            findings.say(what, format_args!("has event {} where event {expected} belongs", event.place));
        }
        expected = event.place + 1;
        match &event.row {
            Ok(event) => events.push(event),
            Err(error) => {
                is_whole = false;
                findings.undecoded(format_args!("event {} of {what}", event.place), error);
            }
        }
    }
    let (there, said) = (stored.events.len(), stored.events_said);
    if i64::try_from(there) != Ok(said) {
        is_whole = false;
        findings.say(what, format_args!("{there} of its {said} events are there"));
    }
    is_whole.then_some(events)
}

fn named_message(event: &Event) -> Option<MessageId> {
    match &event.kind {
        EventKind::UserMessage { message } | EventKind::LlmDone { message, .. } => Some(*message),
        _ => None,
    }
}

fn replay(
    what: &str,
    stored: &StoredTurn,
    record: &TurnRecord,
    events: &[&Event],
    findings: &mut Findings<'_>,
) {
    let mut turn = Turn::new(record.id, TurnConfig::clone(&record.accepted.config));
    let mut calls = Calls::default();
    let mut ended_at = None;
    for (number, event) in events.iter().enumerate() {
        let effects = match turn.apply(event) {
            Ok(effects) => effects,
            Err(error) => {
                findings.say(what, format_args!("event {number} does not replay: {error}"));
                return;
            }
        };
        calls.take(event, &turn, &effects);
        if ended_at.is_none() && turn.outcome().is_some() {
            ended_at = Some(event.at);
        }
    }
    compare_spent(what, record, &turn, findings);
    compare_end(what, record, turn.outcome(), ended_at, findings);
    calls.compare(what, &stored.calls, record.end.is_some(), findings);
}

fn compare_spent(what: &str, record: &TurnRecord, turn: &Turn, findings: &mut Findings<'_>) {
    let (stored, replayed) = (&record.spent, turn.spent());
    let (tokens, used) = (stored.usage, replayed.usage);
    for (name, stored, replayed) in [
        ("input tokens", tokens.input, used.input),
        ("output tokens", tokens.output, used.output),
        ("cache read tokens", tokens.cache_read, used.cache_read),
        ("cache write tokens", tokens.cache_write, used.cache_write),
        ("model calls", u64::from(stored.model_calls), u64::from(replayed.model_calls)),
        ("tool calls", u64::from(stored.tool_calls), u64::from(replayed.tool_calls)),
    ] {
        findings.compare(what, name, &stored, &replayed);
    }
    findings.compare(what, "cost in n$", &stored.cost.as_nanos(), &replayed.cost.as_nanos());
    // Versions that did not count these stored nothing; every turn of a later one has worked.
    if !stored.worked.is_zero() {
        let (tokens, cost) = (stored.estimated_tokens, stored.estimated_cost.as_nanos());
        findings.compare(what, "estimated tokens", &tokens, &replayed.estimated_tokens);
        findings.compare(what, "estimated cost in n$", &cost, &replayed.estimated_cost.as_nanos());
        findings.compare(
            what,
            "microseconds of work",
            &stored.worked.as_micros(),
            &replayed.worked.as_micros(),
        );
    }
    if record.end.is_some() && record.reserved.is_some() {
        findings.say(what, "has ended, and still holds something back");
    }
}

fn compare_end(
    what: &str,
    record: &TurnRecord,
    outcome: Option<&Outcome>,
    ended_at: Option<Timestamp>,
    findings: &mut Findings<'_>,
) {
    match (&record.end, outcome.zip(ended_at)) {
        (None, None) => {}
        (Some(_), None) => findings.say(what, "is stored as ended, and its journal does not end it"),
        (None, Some(_)) => findings.say(what, "is stored as unfinished, and its journal ends it"),
        (Some(end), Some((outcome, ended_at))) => {
            if end.outcome != *outcome {
                findings.say(what, "its outcome is stored otherwise than its journal makes it");
            }
            findings.compare(what, "its end", &end.ended_at, &ended_at);
        }
    }
}
