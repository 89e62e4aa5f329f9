//! Turns, their journals, and the one way in which a turn commits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use loom_agent::{CallOutcome, Event, Outcome, Reserved, Resolution, Spent, TurnConfig};
use loom_base::{AgentId, CallId, Digest, EffectId, MessageId, SessionId, Timestamp, TraceId, TurnId};
use loom_tools::EffectClass;

use crate::{Error, Listed, NewMessage, Page};

/// The pattern that was put beside a message, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatternUse {
    /// The pattern.
    pub name: String,
    /// How well it fits, in 0..1; 1 when the caller forced it.
    pub confidence: f64,
}

/// What a client calls a request, so that it can send it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Who sent it.
    pub principal: String,
    /// What it calls.
    pub method: String,
    /// Its name.
    pub key: String,
}

/// A [`RequestKey`] with what it was first sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: RequestKey,
    /// The digest of the request.
    pub digest: Digest,
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
    /// What else clients are told then.
    pub notes: EndNotes,
}

/// What clients are told at a turn's end and no event says: kept, so that they can be told again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndNotes {
    /// The model that answered, as its provider calls it.
    pub model: Option<String>,
    /// From acceptance to the first text.
    pub first_text: Option<Duration>,
    /// Tokens in the last context, about.
    pub context_used: u64,
    /// Tokens it could hold.
    pub context_room: u64,
    /// Messages of the session that were stored but no longer in it.
    pub messages_dropped: u64,
    /// Whether the model's prices are known.
    pub priced: bool,
    /// The tools that the model could call.
    pub tools: Vec<Arc<str>>,
    /// The text of an answer that broke off.
    pub partial_text: Option<String>,
}

/// What someone said of a call that may have taken effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResolution {
    /// What became of it.
    pub resolution: Resolution,
    /// Who said so.
    pub by: String,
    /// Its result, where it happened.
    pub result: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What was answered to a request for approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalAnswer {
    /// Whether it may go ahead.
    pub approved: bool,
    /// Who answered; `None` when nobody did in time.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
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
    /// Someone must approve it.
    ApprovalAsked {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// The number of the effect that asks.
        effect: u32,
        /// When an approval comes too late.
        expires_at: Timestamp,
    },
    /// Someone said whether it may go ahead, or nobody did in time.
    ApprovalAnswered {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// What was answered.
        answer: ApprovalAnswer,
    },
    /// It was cut off and may have taken effect.
    Unknown {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// When that was noticed.
        at: Timestamp,
    },
    /// Someone said what became of it.
    Resolved {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// What they said.
        resolution: CallResolution,
    },
    /// It has its one result. A call that is settled as unknown waits to be resolved from then on.
    Settled {
        /// The answer that holds it.
        message: MessageId,
        /// Its name in that answer.
        call: CallId,
        /// What became of it.
        outcome: CallOutcome,
        /// Its data as JSON where it succeeded, else what went wrong. The model may be shown less.
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

/// What a step has to do with the queue of its session.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Queueing {
    /// Nothing.
    #[default]
    None,
    /// The turn is accepted and waits until the turns before it are over. It has no event yet, and this is what was asked.
    Waits(Value),
    /// A turn that waited begins, by what it is accepted with now.
    Begins,
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
    /// What happened, in order; at least one event, and none of a turn that waits.
    pub events: Vec<Event>,
    /// The turn to accept, with the first append. A session has one turn that has begun and not ended at most: a second one is
    /// an [`Error::Conflict`].
    pub accept: Option<NewTurn>,
    /// Whether the turn that is accepted waits, or has waited.
    pub queueing: Queueing,
    /// The key that the request for it was sent under. One that is taken is [`Error::Exists`].
    pub key: Option<IdempotencyKey>,
    /// Messages to add.
    pub messages: Vec<NewMessage>,
    /// What becomes of tool calls.
    pub calls: Vec<CallChange>,
    /// What the turn has used so far; the session's totals move by the difference to what was stored.
    pub spent: Spent,
    /// What the turn holds back from now on; `None` for nothing.
    pub reserved: Option<Reserved>,
    /// How it ended, with the last append.
    pub end: Option<TurnEnd>,
    /// The session's new `context_start`, when it moves.
    pub context_start: Option<u64>,
    /// When.
    pub at: Timestamp,
}

/// Resolves once the step is durable, or has failed and wrote nothing. Dropping it does not take the step back.
pub type Receipt = BoxFuture<'static, Result<(), Error>>;

/// What becomes of the model call that a stop cut off, when its turn is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// It is made again as it was, or there is none. Each time that the turn is stalled, what it holds back for the call may have
    /// been used once more.
    MadeAgain,
    /// It is made otherwise, or not at all. The next step says what it used, and only then is anything else held back: what is
    /// held back is counted as often as before.
    Settled,
}

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
    /// What it holds back.
    pub reserved: Option<Reserved>,
    /// How it ended, once it has.
    pub end: Option<TurnEnd>,
    /// How often it was taken up again after a stop.
    pub recoveries: u32,
    /// How often since it last got further.
    pub stalled: u32,
    /// What was asked, while it waits for the turns before it.
    pub queued: Option<Value>,
}

/// A turn that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedTurn {
    /// The turn.
    pub turn: TurnId,
    /// Its session.
    pub session: SessionId,
    /// The session's owner.
    pub principal: String,
    /// The agent.
    pub agent: AgentId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// How often it was taken up again after a stop.
    pub recoveries: u32,
    /// How often since it last got further.
    pub stalled: u32,
    /// Whether it waits for the turns before it.
    pub is_queued: bool,
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Someone to approve it.
    Approval {
        /// The number of the effect that asks.
        effect: u32,
        /// When an approval comes too late.
        expires_at: Timestamp,
    },
    /// Someone to say what became of it.
    Resolution {
        /// The number of its effect.
        effect: u32,
        /// Since when.
        since: Timestamp,
    },
}

/// A call that waits for someone.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingCall {
    /// Its turn.
    pub turn: TurnId,
    /// Whether that turn has ended, so that only the record waits.
    pub turn_ended: bool,
    /// Its session.
    pub session: SessionId,
    /// The session's owner.
    pub principal: String,
    /// The agent.
    pub agent: AgentId,
    /// The call.
    pub call: ToolCallRecord,
    /// For what.
    pub waiting: Waiting,
}

/// Which calls that wait are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// Those that wait for an approval, the one that expires first in front.
    Approval,
    /// Those whose outcome nobody knows, the oldest in front.
    Resolution,
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
    /// Its data as JSON where it succeeded, else what went wrong.
    pub result: Option<String>,
    /// Facts for the trace.
    pub facts: serde_json::Map<String, Value>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What someone, or the tool itself, said later of an outcome that was unknown.
    pub resolution: Option<CallResolution>,
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

    /// The turns of a session in the order they were accepted.
    async fn of_session(&self, session: &SessionId, page: Page) -> Result<Listed<TurnId>, Error>;

    /// The session's turn that has begun and not ended, or `None`.
    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error>;

    /// The turns of a session that wait, in the order they were accepted.
    async fn queued(&self, session: &SessionId) -> Result<Vec<TurnRecord>, Error>;

    /// Every turn that has not ended, in the order they were accepted: those of one principal, or all.
    async fn all_unfinished(
        &self,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<UnfinishedTurn>, Error>;

    /// Counts that a turn is taken up again after a stop, and returns the turn as it is then. A turn that gets further
    /// is no longer stalled, and one that only waits for someone, or whose `call` is not made again as it was, is not stalled by
    /// that. [`Error::Fenced`] under an older epoch than the session's.
    async fn recover(
        &self,
        session: &SessionId,
        epoch: u64,
        turn: TurnId,
        call: CutOff,
    ) -> Result<TurnRecord, Error>;

    /// Counts back that a turn was taken up: it is left unfinished by a stop that somebody asked for, which says nothing of the
    /// turn. Does nothing under an older epoch than the session's.
    async fn put_down(&self, session: &SessionId, epoch: u64, turn: TurnId) -> Result<(), Error>;

    /// Calls that wait for someone: those of one principal's sessions, or all.
    async fn waiting(
        &self,
        what: WaitingFor,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<WaitingCall>, Error>;

    /// Records what became of an unknown call of a turn that has ended. [`Error::Missing`] when there is no such call,
    /// [`Error::Conflict`] when someone has said so before.
    async fn resolve(&self, effect: EffectId, resolution: CallResolution) -> Result<(), Error>;

    /// The turn that a request was answered with, and the digest of that request; `None` for a key that is free.
    async fn of_key(&self, key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error>;

    /// Frees the keys that were used before `before`; returns how many.
    async fn forget_keys(&self, before: Timestamp) -> Result<u64, Error>;

    /// The tool calls of some answers of a session, in the order they were asked.
    async fn calls_of(
        &self,
        session: &SessionId,
        messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error>;
}
