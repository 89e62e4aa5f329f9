//! The rows that a batch of steps writes.

use std::collections::{HashMap, HashSet};

use loom_agent::{CallOutcome, Event, Reserved};
use loom_base::{CallId, Digest, MessageId, NanoUsd, SessionId, Timestamp, TurnId};
use loom_llm::{ContentBlock, Role};
use loom_store::admission::{Heads, SessionHead, TurnHead, counts, others};
use loom_store::{
    Advance, ApprovalAnswer, CallChange, CallResolution, EndNotes, IdempotencyKey, NewTurn, Queueing, TurnEnd,
};
use loom_tools::EffectClass;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use super::script::{Argument, Extent, Part, Script};
use crate::error::Failure;

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
    u32,
    [i64; 4],
    NanoUsd,
    u32,
    u32,
    [i64; 4],
    Option<&'a Reserved>,
    Option<&'a Value>,
);

#[derive(Serialize)]
struct TurnState<'a>(TurnId, u32, [i64; 4], NanoUsd, u32, u32, [i64; 4], Option<&'a Reserved>);

#[derive(Serialize)]
struct EndRow<'a>(TurnId, &'a loom_agent::Outcome, Timestamp, &'a EndNotes);

#[derive(Serialize)]
struct SessionState<'a>(&'a SessionId, u64, u32, [i64; 4], i64, Option<u64>, [i64; 4]);

#[derive(Serialize)]
struct ActivityRow<'a>(&'a SessionId, i64);

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
    /// Those that have waited.
    begun: Vec<TurnRow<'a>>,
    turn_states: Vec<TurnState<'a>>,
    ends: Vec<EndRow<'a>>,
    ended: Vec<TurnId>,
    session_states: Vec<SessionState<'a>>,
    activity: Vec<ActivityRow<'a>>,
    events: Vec<EventRow<'a>>,
    keys: Vec<KeyRow<'a>>,
    messages: Vec<MessageRow<'a>>,
    calls: Vec<CallRow<'a>>,
    call_states: HashMap<(MessageId, &'a CallId), CallState<'a>>,
    accepted: Vec<(&'a Advance, &'a NewTurn)>,
}

impl<'a> Rows<'a> {
    /// Adds what `step` adds. Turn and session are written once for the batch: see [`add_heads`](Self::add_heads).
    pub(super) fn add(&mut self, step: &'a Advance) {
        if let Some(new) = &step.accept {
            self.accepted.push((step, new));
        }
        if let Some(IdempotencyKey { key, digest }) = &step.key {
            let (principal, method) = (&key.principal, &key.method);
            self.keys.push(KeyRow(principal, method, &key.key, *digest, step.turn, step.at));
        }
        if let Some(TurnEnd { outcome, ended_at, notes }) = &step.end {
            self.ends.push(EndRow(step.turn, outcome, *ended_at, notes));
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
        let mut added = HashSet::new();
        for (step, new) in &self.accepted {
            if let Some(head) = heads.turns.get(&step.turn) {
                let row = turn_row(step, new, head);
                if step.queueing != Queueing::Begins {
                    self.turns.push(row);
                    added.insert(step.turn);
                } else if let Some(waiting) = self.turns.iter_mut().find(|waiting| waiting.0 == step.turn) {
                    // It came into the queue in this very batch.
                    *waiting = row;
                } else {
                    self.begun.push(row);
                }
            }
        }
        let changed = heads.turns.iter().filter(|(id, head)| head.touched && !added.contains(id));
        self.turn_states.extend(changed.map(|(id, head)| turn_state(*id, head)));
        self.ended.extend(heads.turns.iter().filter(|(_, head)| head.ends).map(|(id, _)| *id));
        for (id, head) in heads.sessions.iter().filter(|(_, head)| head.touched) {
            self.session_states.push(session_state(id, head));
            self.activity.extend(head.last_active.map(|at| ActivityRow(id, at)));
        }
    }

    /// Tool calls that are changed.
    pub(super) fn changed_calls(&self) -> usize {
        self.call_states.len()
    }

    /// All of it as one query. One that is a whole transaction fails unless every tool call that it changes is there; the
    /// last row of another says whether they were.
    pub(super) fn query(
        &self,
        version: Option<i64>,
        extent: Extent,
    ) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>, Failure> {
        let call_states: Vec<_> = self.call_states.values().collect();
        let mut script = Script::new(extent);
        if let Some(version) = version {
            script.add(Part::Version, Argument::Number(version));
        }
        script.rows(Part::Turns, &self.turns)?;
        script.rows(Part::Begun, &self.begun)?;
        script.rows(Part::TurnStates, &self.turn_states)?;
        script.rows(Part::Ends, &self.ends)?;
        script.rows(Part::Spending, &self.ended)?;
        script.rows(Part::SessionStates, &self.session_states)?;
        script.rows(Part::Activity, &self.activity)?;
        script.rows(Part::Events, &self.events)?;
        script.rows(Part::Keys, &self.keys)?;
        script.rows(Part::Messages, &self.messages)?;
        script.rows(Part::Calls, &self.calls)?;
        script.rows(Part::CallStates, &call_states)?;
        if !call_states.is_empty() {
            let changed = i64::try_from(call_states.len()).unwrap_or(i64::MAX);
            script.add(Part::Changed(extent), Argument::Number(changed));
        }
        Ok(script.query())
    }
}

fn turn_row<'a>(step: &'a Advance, new: &'a NewTurn, head: &'a TurnHead) -> TurnRow<'a> {
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
        head.events,
        counts(head.spent.usage),
        head.spent.cost,
        head.spent.model_calls,
        head.spent.tool_calls,
        others(&head.spent),
        head.reserved.as_ref(),
        match &step.queueing {
            Queueing::Waits(asked) if head.queued => Some(asked),
            _ => None,
        },
    )
}

fn turn_state(id: TurnId, head: &TurnHead) -> TurnState<'_> {
    let TurnHead { events, spent, reserved, .. } = head;
    let (model_calls, tool_calls) = (spent.model_calls, spent.tool_calls);
    let (usage, others) = (counts(spent.usage), others(spent));
    TurnState(id, *events, usage, spent.cost, model_calls, tool_calls, others, reserved.as_ref())
}

fn session_state<'a>(id: &'a SessionId, head: &SessionHead) -> SessionState<'a> {
    let SessionHead { next_message, turns, tokens, cost, context_start, others, .. } = head;
    SessionState(id, *next_message, *turns, *tokens, *cost, *context_start, *others)
}
