//! The rows that a batch of steps writes.

use std::collections::{HashMap, HashSet};

use loom_base::{CallId, MessageId, SessionId, TurnId};
use loom_store::admission::{Heads, SessionHead, TurnHead, counts, others};
use loom_store::{Advance, CallChange, Error, IdempotencyKey, NewMessage, NewTurn, Queueing, TurnEnd};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgArguments;

use super::statement::{
    self, CallRow, CallState, EventRow, KeyRow, MessageRow, Query, SessionLedger, SessionState, TurnLedger,
    TurnRow, TurnState, WaitingTurn,
};
use crate::error::Failure;
use loom_store_sql::text::stored;

/// What a batch writes, table by table.
#[derive(Default)]
pub(super) struct Rows<'a> {
    turns: Vec<TurnRow<'a>>,
    /// Those that have waited.
    begun: Vec<TurnRow<'a>>,
    waiting: Vec<(TurnId, &'a Value)>,
    waiting_turns: Vec<WaitingTurn>,
    turn_states: Vec<TurnState>,
    session_states: Vec<SessionState<'a>>,
    turn_ledgers: Vec<TurnLedger>,
    session_ledgers: Vec<SessionLedger<'a>>,
    events: Vec<EventRow>,
    keys: Vec<KeyRow<'a>>,
    messages: Vec<MessageRow<'a>>,
    calls: Vec<CallRow<'a>>,
    call_states: HashMap<(MessageId, &'a CallId), CallState<'a>>,
    asked: HashSet<(MessageId, &'a CallId)>,
    ends: HashMap<TurnId, &'a TurnEnd>,
}

impl<'a> Rows<'a> {
    /// Adds what `step` adds. Turn and session are written once for the batch: see [`add_heads`](Self::add_heads).
    pub(super) fn add(&mut self, step: &'a Advance) -> Result<(), Failure> {
        if let Some(new) = &step.accept {
            self.add_turn(step, turn_row(step, new)?);
        }
        if let Some(IdempotencyKey { key, digest }) = &step.key {
            self.keys.push(KeyRow {
                principal: stored(&key.principal),
                method: stored(&key.method),
                key: stored(&key.key),
                digest: digest.to_string(),
                turn_id: step.turn.to_string(),
                created_at: step.at.as_micros(),
            });
        }
        if let Some(end) = &step.end {
            self.ends.insert(step.turn, end);
        }
        for (seq, event) in (step.expected_seq..).zip(&step.events) {
            self.events.push(EventRow {
                turn_id: step.turn.to_string(),
                seq: i64::from(seq),
                at: event.at.as_micros(),
                append_id: step.append_id.to_string(),
                event: json(event)?,
            });
        }
        for new in &step.messages {
            self.messages.push(message_row(step, new)?);
        }
        for change in &step.calls {
            self.add_call(step.turn, change)?;
        }
        Ok(())
    }

    fn add_turn(&mut self, step: &'a Advance, row: TurnRow<'a>) {
        match &step.queueing {
            Queueing::Begins => match self.turns.iter_mut().find(|waiting| waiting.id == row.id) {
                // It came into the queue in this very batch.
                Some(waiting) => *waiting = row,
                None => self.begun.push(row),
            },
            Queueing::Waits(asked) => {
                self.waiting.push((step.turn, asked));
                self.turns.push(row);
            }
            Queueing::None => self.turns.push(row),
        }
    }

    fn add_call(&mut self, turn: TurnId, change: &'a CallChange) -> Result<(), Failure> {
        match change {
            CallChange::Asked { message, call, tool, arguments, class } => {
                self.asked.insert((*message, call));
                self.calls.push(CallRow {
                    turn_id: turn.to_string(),
                    message_id: message.to_string(),
                    call_id: stored(call.as_str()),
                    tool_name: stored(tool),
                    args: json(arguments)?,
                    class: word(class)?,
                });
            }
            CallChange::Started { message, call, start } => {
                let state = self.call_state(*message, call);
                state.effect = Some(i64::from(start.effect));
                state.started_at = Some(start.at.as_micros());
            }
            CallChange::ApprovalAsked { message, call, effect, expires_at } => {
                let state = self.call_state(*message, call);
                state.approval = Some(i64::from(*effect));
                state.approval_expires_at = Some(expires_at.as_micros());
            }
            CallChange::ApprovalAnswered { message, call, answer } => {
                self.call_state(*message, call).approval_answer = Some(json(answer)?);
            }
            CallChange::Unknown { message, call, at } => {
                self.call_state(*message, call).unknown_since = Some(at.as_micros());
            }
            CallChange::Resolved { message, call, resolution } => {
                self.call_state(*message, call).resolution = Some(json(resolution)?);
            }
            CallChange::Settled { message, call, outcome, result, facts, at } => {
                let (outcome, result, facts) = (word(outcome)?, json(result)?, json(facts)?);
                let state = self.call_state(*message, call);
                (state.outcome, state.ended_at) = (Some(outcome), Some(at.as_micros()));
                (state.result, state.facts) = (Some(result), Some(facts));
            }
        }
        Ok(())
    }

    fn call_state(&mut self, message: MessageId, call: &'a CallId) -> &mut CallState<'a> {
        self.call_states.entry((message, call)).or_insert_with(|| CallState {
            message_id: message.to_string(),
            call_id: stored(call.as_str()),
            effect: None,
            started_at: None,
            outcome: None,
            ended_at: None,
            result: None,
            facts: None,
            approval: None,
            approval_expires_at: None,
            approval_answer: None,
            unknown_since: None,
            resolution: None,
        })
    }

    /// Adds what the batch makes of its turns and sessions.
    pub(super) fn add_heads(&mut self, heads: &'a Heads) -> Result<(), Failure> {
        for (id, head) in heads.turns.iter().filter(|(_, head)| head.touched) {
            self.turn_states.push(turn_state(*id, head, self.ends.get(id).copied())?);
            self.turn_ledgers.push(turn_ledger(*id, head)?);
        }
        for (id, asked) in &self.waiting {
            if heads.turns.get(id).is_some_and(|head| head.queued) {
                self.waiting_turns.push(WaitingTurn { id: id.to_string(), queued: json(asked)? });
            }
        }
        for (id, head) in heads.sessions.iter().filter(|(_, head)| head.touched) {
            self.session_states.push(session_state(id, head));
            self.session_ledgers.push(session_ledger(id, head));
        }
        Ok(())
    }

    /// Tool calls that were asked before this batch and are changed by it: what the query returns when all are there.
    pub(super) fn changed_calls(&self) -> usize {
        self.call_states.keys().filter(|key| !self.asked.contains(key)).count()
    }

    /// What turns that have waited are run by, one query for each; they come before the other.
    pub(super) fn begin(&self) -> impl Iterator<Item = sqlx::query::Query<'_, sqlx::Postgres, PgArguments>> {
        self.begun.iter().map(|row| {
            sqlx::query(statement::BEGIN)
                .bind(&row.id)
                .bind(row.agent_version)
                .bind(row.rules_version)
                .bind(&row.config)
                .bind(&row.rom)
                .bind(&row.patterns)
                .bind(&row.provider)
                .bind(&row.model)
                .bind(&row.pattern)
                .bind(row.accepted_at)
        })
    }

    /// All of it as one query.
    pub(super) fn query(&self) -> Query<'_> {
        let query = TurnState::bind(statement::query(), self.turn_states.iter());
        let query = TurnRow::bind(query, self.turns.iter());
        let query = SessionState::bind(query, self.session_states.iter());
        let query = EventRow::bind(query, self.events.iter());
        let query = KeyRow::bind(query, self.keys.iter());
        let query = MessageRow::bind(query, self.messages.iter());
        let query = CallState::bind(query, self.call_states.values());
        let query = CallRow::bind(query, self.calls.iter());
        let query = TurnLedger::bind(query, self.turn_ledgers.iter());
        let query = SessionLedger::bind(query, self.session_ledgers.iter());
        WaitingTurn::bind(query, self.waiting_turns.iter())
    }
}

fn turn_row<'a>(step: &'a Advance, new: &'a NewTurn) -> Result<TurnRow<'a>, Failure> {
    Ok(TurnRow {
        id: step.turn.to_string(),
        session_id: step.session.as_str(),
        agent_id: new.agent.as_str(),
        agent_version: i64::from(new.agent_version),
        rules_version: i64::from(new.rules_version),
        config: json(&new.config)?,
        rom: new.rom.to_string(),
        patterns: new.patterns.to_string(),
        provider: stored(&new.provider),
        model: stored(&new.model),
        trace_id: new.trace.to_string(),
        parent_span: new.parent_span.as_deref().map(stored),
        pattern: new.pattern.as_ref().map(json).transpose()?,
        accepted_at: new.accepted_at.as_micros(),
    })
}

fn message_row<'a>(step: &'a Advance, new: &NewMessage) -> Result<MessageRow<'a>, Failure> {
    Ok(MessageRow {
        id: new.id.to_string(),
        session_id: step.session.as_str(),
        turn_id: step.turn.to_string(),
        seq: number(new.seq),
        role: new.role.as_str(),
        content: json(&new.content)?,
        beside: json(&new.beside)?,
        tokens: number(new.tokens),
        cost: new.cost.as_nanos(),
        created_at: new.created_at.as_micros(),
    })
}

fn turn_state(id: TurnId, head: &TurnHead, end: Option<&TurnEnd>) -> Result<TurnState, Failure> {
    let [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens] = counts(head.spent.usage);
    Ok(TurnState {
        id: id.to_string(),
        events: i64::from(head.events),
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        cost: head.spent.cost.as_nanos(),
        model_calls: i64::from(head.spent.model_calls),
        tool_calls: i64::from(head.spent.tool_calls),
        outcome: end.map(|end| json(&end.outcome)).transpose()?,
        ended_at: end.map(|end| end.ended_at.as_micros()),
        notes: end.map(|end| json(&end.notes)).transpose()?,
    })
}

fn turn_ledger(id: TurnId, head: &TurnHead) -> Result<TurnLedger, Failure> {
    let [_, estimated_tokens, estimated_cost, worked] = others(&head.spent);
    let reserved = head.reserved.as_ref().map(json).transpose()?;
    Ok(TurnLedger { id: id.to_string(), estimated_tokens, estimated_cost, worked, reserved })
}

fn session_ledger<'a>(id: &'a SessionId, head: &SessionHead) -> SessionLedger<'a> {
    let [tool_calls, estimated_tokens, estimated_cost, worked] = head.others;
    SessionLedger { id: id.as_str(), tool_calls, estimated_tokens, estimated_cost, worked }
}

fn session_state<'a>(id: &'a SessionId, head: &SessionHead) -> SessionState<'a> {
    let [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens] = head.tokens;
    SessionState {
        id: id.as_str(),
        next_message: number(head.next_message),
        turns: i64::from(head.turns),
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        cost: head.cost,
        context_start: head.context_start.map(number),
        last_active: head.last_active,
    }
}

/// A count as it is stored.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(refused)
}

/// The one word that a value serialises as.
fn word(value: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_value(value).map_err(refused)? {
        Value::String(word) => Ok(word),
        other => Ok(other.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to `map_err`")]
fn refused(error: serde_json::Error) -> Failure {
    Failure::Refused(Error::Conflict { what: format!("a row that does not encode ({error})") })
}
