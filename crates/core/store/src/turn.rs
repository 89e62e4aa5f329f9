//! Turns, their journals, and the one way in which a turn commits.

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use loom_agent::{CallOutcome, Event, Outcome, Spent, TurnConfig};
use loom_base::{AgentId, CallId, Digest, MessageId, SessionId, Timestamp, TraceId, TurnId};
use loom_tools::EffectClass;

use crate::{Error, NewMessage};

/// The pattern that was put beside a message, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatternUse {
    /// The pattern.
    pub name: String,
    /// How well it fits, in 0..1; 1 when the caller forced it.
    pub confidence: f64,
}

/// A turn to accept: everything it will be run by, so that nothing that changes later changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTurn {
    /// The agent.
    pub agent: AgentId,
    /// The version of its definition.
    pub agent_version: u32,
    /// The version of the machine's rules.
    pub rules_version: u32,
    /// Limits and policies.
    pub config: TurnConfig,
    /// The digest of the ROM.
    pub rom: Digest,
    /// The digest of the pattern snapshot.
    pub patterns: Digest,
    /// The model provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Its trace.
    pub trace: TraceId,
    /// The span of the caller that it continues, 16 hexadecimal digits.
    pub parent_span: Option<String>,
    /// The pattern beside its message.
    pub pattern: Option<PatternUse>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnEnd {
    /// With what.
    pub outcome: Outcome,
    /// When.
    pub ended_at: Timestamp,
}

/// What becomes of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallChange {
    /// The model asked for it.
    Asked {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: Value,
        /// What it does to the world.
        class: EffectClass,
    },
    /// It starts.
    Started {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// How.
        start: CallStart,
    },
    /// It has its one result.
    Settled {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// What became of it.
        outcome: CallOutcome,
        /// The result or error as the model reads it.
        result: String,
        /// Facts for the trace.
        facts: serde_json::Map<String, Value>,
        /// When.
        at: Timestamp,
    },
}

/// How a call starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallStart {
    /// The number of its effect.
    pub effect: u32,
    /// When.
    pub at: Timestamp,
}

/// One step of a turn: everything in it commits together or not at all.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The session.
    pub session: SessionId,
    /// The epoch under which the writer owns it.
    pub epoch: u64,
    /// The turn.
    pub turn: TurnId,
    /// The sequence number of the first of `events`: 0 for a new turn. A journal that is not exactly this long is a
    /// [`Error::Conflict`], unless it already holds this very append.
    pub expected_seq: u32,
    /// The name of this append. Sent again after a lost reply, it succeeds without writing twice.
    pub append_id: Uuid,
    /// What happened, in order; at least one event.
    pub events: Vec<Event>,
    /// The turn to accept, with the first append.
    pub accept: Option<NewTurn>,
    /// Messages to add.
    pub messages: Vec<NewMessage>,
    /// What becomes of tool calls.
    pub calls: Vec<CallChange>,
    /// What the turn has used so far; the session's totals move by the difference to what was stored.
    pub spent: Spent,
    /// How it ended, with the last append.
    pub end: Option<TurnEnd>,
    /// The session's new `context_start`, when it moves.
    pub context_start: Option<u64>,
    /// When.
    pub at: Timestamp,
}

/// Resolves once the step is durable, or has failed and wrote nothing. Dropping it does not take the step back.
pub type Receipt = BoxFuture<'static, Result<(), Error>>;

/// A stored turn.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRecord {
    /// Its id.
    pub id: TurnId,
    /// Its session.
    pub session: SessionId,
    /// What it is run by.
    pub accepted: NewTurn,
    /// What it has used.
    pub spent: Spent,
    /// How it ended, once it has.
    pub end: Option<TurnEnd>,
}

/// A stored tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCallRecord {
    /// The answer that holds it.
    pub message: MessageId,
    /// Its name in that answer.
    pub call: CallId,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Value,
    /// What it does to the world.
    pub class: EffectClass,
    /// Its effect and start, once it started.
    pub start: Option<CallStart>,
    /// What became of it.
    pub outcome: Option<CallOutcome>,
    /// The result or error as the model reads it.
    pub result: Option<String>,
    /// Facts for the trace.
    pub facts: serde_json::Map<String, Value>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A turn with all that happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// The turn.
    pub turn: TurnRecord,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Its tool calls, in the order they were asked.
    pub calls: Vec<ToolCallRecord>,
}

/// Stores turns.
#[async_trait]
pub trait TurnStore: Send + Sync {
    /// Queues one step of a turn. Steps commit in the order of the calls; the receipt says when. One step that
    /// conflicts fails alone, never those that share its transaction.
    fn advance(&self, step: Advance) -> Receipt;

    /// The turn with its journal, or `None`.
    async fn journal(&self, turn: TurnId) -> Result<Option<Journal>, Error>;

    /// The turns of a trace in the order they were accepted: the last `most`, where a caller's trace has more.
    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error>;

    /// The session's turn that has not ended, or `None`.
    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error>;

    /// The tool calls of some answers of a session, in the order they were asked.
    async fn calls_of(
        &self,
        session: &SessionId,
        messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error>;
}
