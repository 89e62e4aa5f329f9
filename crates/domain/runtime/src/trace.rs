//! The trace of a turn, told by its journal: it survives kills and dropped spans, and its costs are the ledger's.

mod hook;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use loom_agent::{Effect, Event, EventKind, Resolution, Turn};
use loom_base::{EffectId, ErrorCode, NanoUsd, SessionId, Timestamp, TraceId, TurnId};
use loom_llm::Usage;
use loom_store::{Journal, SpanRecord, Stores, ToolCallRecord};
use loom_telemetry::attribute;

use crate::Error;
use crate::ending::{outcome_name, turn_outcome_name};

/// Tells the number of a call that was lost from that of the call that took its place.
const LOST: u32 = 0x4000_0000;
/// The most turns of a trace that are shown, the last ones.
const MOST_TURNS: u32 = 50;

/// The spans of one turn and what it cost; or of several, where a caller ran them under one trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The trace's id.
    pub id: TraceId,
    /// The turn it tells of, or the first of several.
    pub turn: TurnId,
    /// That turn's session.
    pub session: SessionId,
    /// The turn's span first, then the others by their start; turn after turn.
    pub spans: Vec<TraceSpan>,
    /// Tokens over all model calls.
    pub usage: Usage,
    /// What they cost.
    pub cost: NanoUsd,
    /// Of the cost, what was not told by a provider.
    pub estimated_cost: NanoUsd,
    /// The provider and model that answered.
    pub model: (String, String),
}

/// One span.
#[derive(Clone, Debug)]
pub struct TraceSpan {
    /// Its id, 16 hexadecimal digits.
    pub id: String,
    /// The span it is part of; empty for none in this trace.
    pub parent: String,
    /// Its name, after the OpenTelemetry conventions for generative AI: `invoke_agent`, `chat`, `execute_tool`, and what
    /// it is about; `run_hook` is ours.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; its start, while it has not.
    pub ended_at: Timestamp,
    /// `ok`, `error`, or `unset` while it runs.
    pub status: &'static str,
    /// What is known of it.
    pub attributes: BTreeMap<String, String>,
}

/// Reads traces.
pub struct Traces {
    stores: Stores,
}

impl Traces {
    pub(crate) const fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// The trace with that id: of a trace (32 hexadecimal digits), with all its turns, or of one turn. Of a trace with more
    /// than 50 turns the last 50 are shown.
    pub async fn get(&self, id: &str) -> Result<Trace, Error> {
        let not_found =
            || Error::new(ErrorCode::TraceNotFound, format!("no trace or turn has the id {id:?}"));
        let turns = if let Ok(turn) = id.parse::<TurnId>() {
            vec![turn]
        } else {
            let trace = id.parse::<TraceId>().map_err(|_| not_found())?;
            self.stores.turns.of_trace(trace, MOST_TURNS).await?
        };
        let mut whole: Option<Trace> = None;
        let mut inner = Vec::new();
        for turn in turns {
            // One that was deleted since it was found is no longer part of the trace.
            let Some(journal) = self.stores.turns.journal(turn).await? else { continue };
            let mut trace = tell(&journal).map_err(|error| {
                Error::new(ErrorCode::StoreCorrupt, format!("the journal of {turn} does not replay: {error}"))
            })?;
            if whole.is_none() {
                inner = self.stores.spans.of_trace(trace.id).await?;
                // Ids count up, so a span comes after the one it is part of.
                inner.sort_by_key(|record| record.id);
            }
            trace.spans.extend(inner_of(turn, &inner).into_iter().map(|span| from_record(span, turn)));
            trace.spans[1..].sort_by_key(|span| span.started_at);
            match &mut whole {
                Some(whole) => whole.add(trace),
                None => whole = Some(trace),
            }
        }
        whole.ok_or_else(not_found)
    }
}

impl Trace {
    /// The time from its first span's start to its last one's end.
    pub fn duration(&self) -> Duration {
        let started_at = self.spans.iter().map(|span| span.started_at).min().unwrap_or_default();
        let ended_at = self.spans.iter().map(|span| span.ended_at).max().unwrap_or_default();
        ended_at.since(started_at)
    }

    fn add(&mut self, later: Self) {
        self.spans.extend(later.spans);
        self.usage += later.usage;
        self.cost += later.cost;
        self.estimated_cost += later.estimated_cost;
    }
}

/// The turn, model-call, hook and tool spans of a journal.
fn tell(journal: &Journal) -> Result<Trace, loom_agent::ProtocolError> {
    let record = &journal.turn;
    let mut turn = Turn::new(record.id, record.accepted.config.clone());
    let mut opened: BTreeMap<u32, (Timestamp, u32)> = BTreeMap::new();
    let mut spans = Vec::new();
    let mut hooks = hook::Runs::default();
    for event in &journal.events {
        spans.extend(hooks.close(journal, event));
        if let Some((started_at, attempt)) = event.kind.effect().and_then(|effect| opened.remove(&effect)) {
            spans.push(chat_span(journal, event, started_at, attempt));
            if let EventKind::LlmLost { effect, .. } = event.kind {
                opened.insert(effect, (event.at, attempt));
            }
        }
        for effect in turn.apply(event)? {
            match effect {
                Effect::CallLlm { effect, attempt } => {
                    opened.insert(effect.number, (event.at, attempt));
                }
                effect => hooks.open(effect, event.at),
            }
        }
    }
    spans.extend(journal.calls.iter().map(|call| tool_span(journal, call)));
    spans.extend(hooks.cut_off(journal));
    let started = journal.events.last().map_or(record.accepted.accepted_at, |event| event.at);
    spans.extend(opened.into_iter().map(|(effect, (at, attempt))| {
        let span = Span { number: effect, started_at: at, ended_at: started, status: "unset" };
        span.of(journal, format!("chat {}", record.accepted.model), chat_attributes(journal, attempt))
    }));
    spans.sort_by_key(|span: &TraceSpan| span.started_at);
    spans.insert(0, turn_span(journal, started));
    Ok(Trace {
        id: record.accepted.trace,
        turn: record.id,
        session: record.session.clone(),
        spans,
        usage: turn.spent().usage,
        cost: turn.spent().cost,
        estimated_cost: turn.spent().estimated_cost,
        model: (record.accepted.provider.clone(), record.accepted.model.clone()),
    })
}

/// The parts of a span below the turn's.
struct Span {
    number: u32,
    started_at: Timestamp,
    ended_at: Timestamp,
    status: &'static str,
}

impl Span {
    fn of(self, journal: &Journal, name: String, attributes: BTreeMap<String, String>) -> TraceSpan {
        TraceSpan {
            id: span_id(journal.turn.id, self.number),
            parent: span_id(journal.turn.id, 0),
            name,
            started_at: self.started_at,
            ended_at: self.ended_at,
            status: self.status,
            attributes,
        }
    }
}

/// The id of an effect's span; number 0 is the turn's.
fn span_id(turn: TurnId, number: u32) -> String {
    EffectId { turn, number }.span_id()
}

fn turn_span(journal: &Journal, last_event: Timestamp) -> TraceSpan {
    let record = &journal.turn;
    let accepted = &record.accepted;
    let end = record.end.as_ref();
    let outcome = end.map_or("unfinished", |end| turn_outcome_name(&end.outcome));
    let mut attributes = attributes([
        ("gen_ai.operation.name", "invoke_agent".to_owned()),
        ("gen_ai.agent.id", accepted.agent.to_string()),
        ("gen_ai.agent.version", accepted.agent_version.to_string()),
        ("gen_ai.conversation.id", record.session.to_string()),
        ("gen_ai.provider.name", accepted.provider.clone()),
        ("gen_ai.request.model", accepted.model.clone()),
        ("loom.turn.id", record.id.to_string()),
        ("loom.turn.outcome", outcome.to_owned()),
        ("loom.turn.model_calls", record.spent.model_calls.to_string()),
        ("loom.turn.tool_calls", record.spent.tool_calls.to_string()),
    ]);
    add_usage(&mut attributes, record.spent.usage, record.spent.cost);
    let is_estimate = |event: &Event| {
        matches!(event.kind, EventKind::LlmDone { estimated: true, .. } | EventKind::LlmLost { .. })
    };
    if journal.events.iter().any(is_estimate) {
        add_estimated(&mut attributes);
        let (tokens, cost) = (record.spent.estimated_tokens, record.spent.estimated_cost);
        attributes.insert("loom.usage.estimated_tokens".into(), tokens.to_string());
        attributes.insert("loom.cost_estimated_usd".into(), format!("{:.9}", cost.as_dollars()));
    }
    if let Some(pattern) = &accepted.pattern {
        attributes.insert("loom.pattern.name".into(), pattern.name.clone());
        attributes.insert("loom.pattern.confidence".into(), format!("{:.3}", pattern.confidence));
    }
    if let Some(loom_agent::Outcome::Failed(failure)) = end.map(|end| &end.outcome) {
        attributes.insert("error.type".into(), Error::of_failure(failure).code.to_string());
    }
    let status = match outcome {
        "finished" => "ok",
        "unfinished" => "unset",
        _ => "error",
    };
    TraceSpan {
        id: span_id(record.id, 0),
        parent: accepted.parent_span.clone().unwrap_or_default(),
        name: "invoke_agent".to_owned(),
        started_at: accepted.accepted_at,
        ended_at: end.map_or(last_event, |end| end.ended_at),
        status,
        attributes,
    }
}

fn chat_span(journal: &Journal, event: &Event, started_at: Timestamp, attempt: u32) -> TraceSpan {
    let mut attributes = chat_attributes(journal, attempt);
    let (effect, status) = match &event.kind {
        EventKind::LlmDone { effect, finish, usage, estimated, cost, calls, .. } => {
            attributes.insert("gen_ai.response.finish_reasons".into(), finish.as_str().into());
            attributes.insert("loom.tool_calls".into(), calls.len().to_string());
            add_usage(&mut attributes, *usage, *cost);
            if *estimated {
                add_estimated(&mut attributes);
            }
            (*effect, "ok")
        }
        EventKind::LlmFailed { effect, code, usage, cost, .. } => {
            attributes.insert("error.type".into(), code.clone());
            add_usage(&mut attributes, *usage, *cost);
            (*effect, "error")
        }
        EventKind::LlmLost { effect, times, .. } => {
            let (usage, cost) = event.kind.lost();
            attributes.insert("error.type".into(), "lost".into());
            attributes.insert("loom.attempts_lost".into(), times.to_string());
            add_usage(&mut attributes, usage, cost);
            add_estimated(&mut attributes);
            (*effect | LOST, "error")
        }
        EventKind::BudgetExceeded { effect, scope, measure, .. } => {
            attributes.insert("error.type".into(), ErrorCode::BudgetExceeded.to_string());
            attributes.insert("loom.budget".into(), format!("{}.{}", scope.as_str(), measure.as_str()));
            (*effect, "error")
        }
        // Only model calls are kept open, and only these two events close them.
        _ => (0, "unset"),
    };
    let span = Span { number: effect, started_at, ended_at: event.at, status };
    span.of(journal, format!("chat {}", journal.turn.accepted.model), attributes)
}

fn chat_attributes(journal: &Journal, attempt: u32) -> BTreeMap<String, String> {
    let accepted = &journal.turn.accepted;
    attributes([
        ("gen_ai.operation.name", "chat".to_owned()),
        ("gen_ai.provider.name", accepted.provider.clone()),
        ("gen_ai.request.model", accepted.model.clone()),
        ("loom.attempt", attempt.to_string()),
    ])
}

fn tool_span(journal: &Journal, call: &ToolCallRecord) -> TraceSpan {
    let mut attributes = attributes([
        ("gen_ai.operation.name", "execute_tool".to_owned()),
        ("gen_ai.tool.name", call.tool.clone()),
        ("gen_ai.tool.call.id", call.call.to_string()),
        ("loom.tool.outcome", call.outcome.map_or("unfinished", outcome_name).to_owned()),
    ]);
    if let Some(said) = &call.resolution {
        attributes.insert("loom.tool.resolution".into(), resolution_name(said.resolution).into());
        attributes.insert("loom.tool.resolved_by".into(), said.by.clone());
    }
    for (fact, value) in &call.facts {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        attributes.insert(format!("loom.tool.{fact}"), text);
    }
    let asked_at = journal.turn.accepted.accepted_at;
    let started_at = call.start.map(|start| start.at).or(call.ended_at).unwrap_or(asked_at);
    let status = match call.outcome {
        Some(loom_agent::CallOutcome::Succeeded) => "ok",
        Some(_) => "error",
        None => "unset",
    };
    // A call that never started has no effect number: its span's id is drawn from its name.
    let number = call.start.map_or_else(|| name_number(call.call.as_str()), |start| start.effect);
    let ended_at = call.ended_at.unwrap_or(started_at);
    Span { number, started_at, ended_at, status }.of(
        journal,
        format!("execute_tool {}", call.tool),
        attributes,
    )
}

const fn resolution_name(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Happened => "happened",
        Resolution::DidNotHappen => "did_not_happen",
        Resolution::GiveUp => "give_up",
    }
}

/// A number far above effect numbers, the same for the same name (FNV-1a).
fn name_number(name: &str) -> u32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | 0x8000_0000
}

fn add_usage(attributes: &mut BTreeMap<String, String>, usage: Usage, cost: NanoUsd) {
    let counts = [
        // By the conventions, input counts what the cache served and took too.
        ("gen_ai.usage.input_tokens", usage.input + usage.cache_read + usage.cache_write),
        ("gen_ai.usage.output_tokens", usage.output),
        ("gen_ai.usage.cache_read.input_tokens", usage.cache_read),
        ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write),
    ];
    attributes.extend(counts.map(|(name, count)| (name.to_owned(), count.to_string())));
    attributes.insert("loom.cost_usd".into(), format!("{:.9}", cost.as_dollars()));
}

/// Says that the provider did not say what it used, and the counts and the cost are Loom's estimates.
fn add_estimated(attributes: &mut BTreeMap<String, String>) {
    attributes.insert("loom.usage.estimated".into(), "true".into());
}

fn attributes<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The spans below the turn's own, out of all of a trace, parents first: a caller may run several turns under one trace.
/// The turn's own is the journal's, so the one recorded beside it is left out.
fn inner_of(turn: TurnId, records: &[SpanRecord]) -> Vec<SpanRecord> {
    let turn = turn.to_string();
    let mut top = None;
    let mut ours = BTreeSet::new();
    let mut inner = Vec::new();
    for record in records {
        if record.attributes.get(attribute::TURN_ID).and_then(Value::as_str) == Some(&turn) {
            top = Some(record.id);
            ours.insert(record.id);
        } else if record.parent.is_some_and(|parent| ours.contains(&parent)) {
            ours.insert(record.id);
            let parent = record.parent.filter(|parent| Some(*parent) != top);
            inner.push(SpanRecord { parent, ..record.clone() });
        }
    }
    inner
}

fn from_record(record: SpanRecord, turn: TurnId) -> TraceSpan {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    TraceSpan {
        id: format!("{:016x}", record.id),
        parent: record.parent.map_or_else(|| span_id(turn, 0), |parent| format!("{parent:016x}")),
        name: record.name,
        started_at: record.started_at,
        ended_at: record.ended_at,
        status: "ok",
        attributes: record.attributes.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
    }
}
