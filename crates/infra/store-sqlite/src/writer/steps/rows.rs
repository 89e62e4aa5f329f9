//! The rows that a batch of steps writes.

use std::collections::HashMap;

use loom_agent::{CallOutcome, Event, Reserved};
use loom_base::{CallId, Digest, MessageId, NanoUsd, SessionId, Timestamp, TurnId};
use loom_llm::{ContentBlock, Role};
use loom_store::admission::{Heads, SessionHead, TurnHead, counts, others};
use loom_store::{
    Advance, ApprovalAnswer, CallChange, CallResolution, EndNotes, Error, IdempotencyKey, NewTurn, TurnEnd,
};
use loom_tools::EffectClass;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use crate::error::Failure;

/// Each statement takes one array of rows. `->` keeps JSON as JSON, `->>` takes the value out of it.
const WRITE: &str = "
INSERT INTO turns (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model,
                   trace_id, parent_span, pattern, accepted_at,
                   events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, model_calls,
                   tool_calls)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5, value ->> 6, value ->> 7,
       value ->> 8, value ->> 9, value ->> 10, value ->> 11, iif(value ->> 12 IS NULL, NULL, value -> 12),
       value ->> 13, 0, 0, 0, 0, 0, 0, 0, 0
FROM jsonb_each(?);
UPDATE turns
SET events = j.value ->> 1, input_tokens = j.value ->> 2, output_tokens = j.value ->> 3,
    cache_read_tokens = j.value ->> 4, cache_write_tokens = j.value ->> 5, cost = j.value ->> 6,
    model_calls = j.value ->> 7, tool_calls = j.value ->> 8,
    outcome = iif(j.value ->> 9 IS NULL, outcome, j.value -> 9), ended_at = coalesce(j.value ->> 10, ended_at),
    notes = iif(j.value ->> 9 IS NULL, notes, j.value -> 11), stalled = 0, estimated_tokens = j.value ->> 12,
    estimated_cost = j.value ->> 13, worked = j.value ->> 14, reserved = iif(j.value ->> 15 IS NULL, NULL, j.value -> 15)
FROM jsonb_each(?) AS j
WHERE turns.id = j.value ->> 0;
UPDATE sessions
SET next_message = j.value ->> 1, turns = turns + (j.value ->> 2), input_tokens = input_tokens + (j.value ->> 3),
    output_tokens = output_tokens + (j.value ->> 4), cache_read_tokens = cache_read_tokens + (j.value ->> 5),
    cache_write_tokens = cache_write_tokens + (j.value ->> 6), cost = cost + (j.value ->> 7),
    context_start = coalesce(j.value ->> 8, context_start), last_active = max(last_active, j.value ->> 9),
    tool_calls = tool_calls + (j.value ->> 10), estimated_tokens = estimated_tokens + (j.value ->> 11),
    estimated_cost = estimated_cost + (j.value ->> 12), worked = worked + (j.value ->> 13)
FROM jsonb_each(?) AS j
WHERE sessions.id = j.value ->> 0;
INSERT INTO turn_events (turn_id, seq, at, append_id, event)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4 FROM jsonb_each(?);
INSERT INTO idempotency_keys (principal, method, key, digest, turn_id, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM jsonb_each(?);
INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5, value -> 6, value ->> 7,
       value ->> 8, value ->> 9
FROM jsonb_each(?);
INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4, value ->> 5 FROM jsonb_each(?);
UPDATE tool_calls
SET effect = coalesce(j.value ->> 2, effect), started_at = coalesce(j.value ->> 3, started_at),
    outcome = coalesce(j.value ->> 4, outcome), ended_at = coalesce(j.value ->> 5, ended_at),
    result = iif(j.value ->> 4 IS NULL, result, j.value -> 6), facts = iif(j.value ->> 4 IS NULL, facts, j.value -> 7),
    approval = coalesce(j.value ->> 8, approval), approval_expires_at = coalesce(j.value ->> 9, approval_expires_at),
    approval_answer = iif(j.value ->> 10 IS NULL, iif(j.value ->> 8 IS NULL, approval_answer, NULL), j.value -> 10),
    unknown_since = coalesce(j.value ->> 11, unknown_since, iif(j.value ->> 4 = 'unknown', j.value ->> 5, NULL)),
    resolution = iif(j.value ->> 12 IS NULL, iif(j.value ->> 11 IS NULL, resolution, NULL), j.value -> 12)
FROM jsonb_each(?) AS j
WHERE message_id = j.value ->> 0 AND call_id = j.value ->> 1
RETURNING id";

#[derive(Serialize)]
struct TurnRow<'a>(
    TurnId,
    &'a SessionId,
    &'a loom_base::AgentId,
    u32,
    u32,
    &'a loom_agent::TurnConfig,
    Digest,
    Digest,
    &'a str,
    &'a str,
    loom_base::TraceId,
    Option<&'a str>,
    Option<&'a loom_store::PatternUse>,
    Timestamp,
);

#[derive(Serialize)]
struct TurnState<'a>(
    TurnId,
    u32,
    i64,
    i64,
    i64,
    i64,
    NanoUsd,
    u32,
    u32,
    Option<&'a loom_agent::Outcome>,
    Option<Timestamp>,
    Option<&'a EndNotes>,
    i64,
    i64,
    i64,
    Option<&'a Reserved>,
);

#[derive(Serialize)]
struct SessionState<'a>(
    &'a SessionId,
    u64,
    u32,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<u64>,
    i64,
    i64,
    i64,
    i64,
    i64,
);

#[derive(Serialize)]
struct EventRow<'a>(TurnId, u32, Timestamp, Uuid, &'a Event);

#[derive(Serialize)]
struct MessageRow<'a>(
    MessageId,
    &'a SessionId,
    TurnId,
    u64,
    Role,
    &'a [ContentBlock],
    &'a [ContentBlock],
    u64,
    NanoUsd,
    Timestamp,
);

#[derive(Serialize)]
struct CallRow<'a>(TurnId, MessageId, &'a CallId, &'a str, &'a Value, EffectClass);

#[derive(Serialize)]
struct KeyRow<'a>(&'a str, &'a str, &'a str, Digest, TurnId, Timestamp);

#[derive(Serialize)]
struct CallState<'a>(
    MessageId,
    &'a CallId,
    Option<u32>,
    Option<Timestamp>,
    Option<CallOutcome>,
    Option<Timestamp>,
    Option<&'a str>,
    Option<&'a Map<String, Value>>,
    Option<u32>,
    Option<Timestamp>,
    Option<&'a ApprovalAnswer>,
    Option<Timestamp>,
    Option<&'a CallResolution>,
);

/// What a batch writes, table by table.
#[derive(Default)]
pub(super) struct Rows<'a> {
    turns: Vec<TurnRow<'a>>,
    turn_states: Vec<TurnState<'a>>,
    session_states: Vec<SessionState<'a>>,
    events: Vec<EventRow<'a>>,
    keys: Vec<KeyRow<'a>>,
    messages: Vec<MessageRow<'a>>,
    calls: Vec<CallRow<'a>>,
    call_states: HashMap<(MessageId, &'a CallId), CallState<'a>>,
    ends: HashMap<TurnId, &'a TurnEnd>,
}

impl<'a> Rows<'a> {
    /// Adds what `step` adds. Turn and session are written once for the batch: see [`add_heads`](Self::add_heads).
    pub(super) fn add(&mut self, step: &'a Advance) {
        if let Some(new) = &step.accept {
            self.turns.push(turn_row(step, new));
        }
        if let Some(IdempotencyKey { key, digest }) = &step.key {
            let (principal, method) = (&key.principal, &key.method);
            self.keys.push(KeyRow(principal, method, &key.key, *digest, step.turn, step.at));
        }
        if let Some(end) = &step.end {
            self.ends.insert(step.turn, end);
        }
        for (seq, event) in (step.expected_seq..).zip(&step.events) {
            self.events.push(EventRow(step.turn, seq, event.at, step.append_id, event));
        }
        for new in &step.messages {
            self.messages.push(MessageRow(
                new.id,
                &step.session,
                step.turn,
                new.seq,
                new.role,
                &new.content,
                &new.beside,
                new.tokens,
                new.cost,
                new.created_at,
            ));
        }
        for change in &step.calls {
            self.add_call(step.turn, change);
        }
    }

    fn add_call(&mut self, turn: TurnId, change: &'a CallChange) {
        match change {
            CallChange::Asked { message, call, tool, arguments, class } => {
                self.calls.push(CallRow(turn, *message, call, tool, arguments, *class));
            }
            CallChange::Started { message, call, start } => {
                let state = self.call_state(*message, call);
                (state.2, state.3) = (Some(start.effect), Some(start.at));
            }
            CallChange::ApprovalAsked { message, call, effect, expires_at } => {
                let state = self.call_state(*message, call);
                (state.8, state.9) = (Some(*effect), Some(*expires_at));
            }
            CallChange::ApprovalAnswered { message, call, answer } => {
                self.call_state(*message, call).10 = Some(answer);
            }
            CallChange::Unknown { message, call, at } => self.call_state(*message, call).11 = Some(*at),
            CallChange::Resolved { message, call, resolution } => {
                self.call_state(*message, call).12 = Some(resolution);
            }
            CallChange::Settled { message, call, outcome, result, facts, at } => {
                let state = self.call_state(*message, call);
                (state.4, state.5) = (Some(*outcome), Some(*at));
                (state.6, state.7) = (Some(result.as_str()), Some(facts));
            }
        }
    }

    fn call_state(&mut self, message: MessageId, call: &'a CallId) -> &mut CallState<'a> {
        let unchanged =
            || CallState(message, call, None, None, None, None, None, None, None, None, None, None, None);
        self.call_states.entry((message, call)).or_insert_with(unchanged)
    }

    /// Adds what the batch makes of its turns and sessions.
    pub(super) fn add_heads(&mut self, heads: &'a Heads) {
        for (id, head) in heads.turns.iter().filter(|(_, head)| head.touched) {
            self.turn_states.push(turn_state(*id, head, self.ends.get(id).copied()));
        }
        for (id, head) in heads.sessions.iter().filter(|(_, head)| head.touched) {
            self.session_states.push(session_state(id, head));
        }
    }

    /// Tool calls that are changed: the rows that the query returns when all of them were there.
    pub(super) fn changed_calls(&self) -> usize {
        self.call_states.len()
    }

    /// All of it as one query.
    pub(super) fn query(&self) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>, Failure> {
        let call_states: Vec<_> = self.call_states.values().collect();
        Ok(sqlx::query(WRITE)
            .bind(json(&self.turns)?)
            .bind(json(&self.turn_states)?)
            .bind(json(&self.session_states)?)
            .bind(json(&self.events)?)
            .bind(json(&self.keys)?)
            .bind(json(&self.messages)?)
            .bind(json(&self.calls)?)
            .bind(json(&call_states)?))
    }
}

fn json(rows: &impl Serialize) -> Result<String, Failure> {
    let refused =
        |error: serde_json::Error| Error::Conflict { what: format!("a row that does not encode ({error})") };
    serde_json::to_string(rows).map_err(|error| Failure::Refused(refused(error)))
}

fn turn_row<'a>(step: &'a Advance, new: &'a NewTurn) -> TurnRow<'a> {
    TurnRow(
        step.turn,
        &step.session,
        &new.agent,
        new.agent_version,
        new.rules_version,
        &new.config,
        new.rom,
        new.patterns,
        &new.provider,
        &new.model,
        new.trace,
        new.parent_span.as_deref(),
        new.pattern.as_ref(),
        new.accepted_at,
    )
}

fn turn_state<'a>(id: TurnId, head: &'a TurnHead, end: Option<&'a TurnEnd>) -> TurnState<'a> {
    let [input, output, cache_read, cache_write] = counts(head.spent.usage);
    let [_, estimated_tokens, estimated_cost, worked] = others(&head.spent);
    TurnState(
        id,
        head.events,
        input,
        output,
        cache_read,
        cache_write,
        head.spent.cost,
        head.spent.model_calls,
        head.spent.tool_calls,
        end.map(|end| &end.outcome),
        end.map(|end| end.ended_at),
        end.map(|end| &end.notes),
        estimated_tokens,
        estimated_cost,
        worked,
        head.reserved.as_ref(),
    )
}

fn session_state<'a>(id: &'a SessionId, head: &SessionHead) -> SessionState<'a> {
    let [input, output, cache_read, cache_write] = head.tokens;
    let [tool_calls, estimated_tokens, estimated_cost, worked] = head.others;
    SessionState(
        id,
        head.next_message,
        head.turns,
        input,
        output,
        cache_read,
        cache_write,
        head.cost,
        head.context_start,
        head.last_active,
        tool_calls,
        estimated_tokens,
        estimated_cost,
        worked,
    )
}
