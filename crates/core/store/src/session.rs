//! Conversations.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use loom_base::{AgentId, NanoUsd, SessionId, Timestamp};
use loom_llm::Usage;

use crate::{Error, Listed, NewFork, Origin, Page};

/// Whether a session takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It does.
    Active,
    /// It is closed and kept.
    Ended,
}

impl SessionState {
    /// The state's name as it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

/// What becomes of a message for a session that is at work on another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    /// It waits its turn.
    #[default]
    Queue,
    /// It stops the turn that runs, and comes after what waits already.
    Interrupt,
    /// It is refused.
    Reject,
}

impl WhenBusy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Interrupt, Self::Reject];

    /// Its name as it is stored and written in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Interrupt => "interrupt",
            Self::Reject => "reject",
        }
    }
}

/// A session to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSession {
    /// Its id; the caller makes or accepts it.
    pub id: SessionId,
    /// The agent it belongs to, for good.
    pub agent: AgentId,
    /// A name to show; may be empty.
    pub name: String,
    /// The backend it was created for; may be empty.
    pub backend: String,
    /// Who owns it.
    pub principal: String,
    /// The client's own notes.
    pub metadata: BTreeMap<String, String>,
    /// What becomes of a message that finds it at work; `None` for what its agent says.
    pub when_busy: Option<WhenBusy>,
    /// When.
    pub created_at: Timestamp,
}

/// What a session has used and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTotals {
    /// Turns that ended.
    pub turns: u64,
    /// Messages stored.
    pub messages: u64,
    /// Tokens over all turns.
    pub usage: Usage,
    /// What they cost.
    pub cost: NanoUsd,
    /// Tool calls.
    pub tool_calls: u64,
    /// Of the tokens, those that no provider counted.
    pub estimated_tokens: u64,
    /// Of the cost, that of these tokens.
    pub estimated_cost: NanoUsd,
    /// Time that the turns worked.
    pub worked: Duration,
}

/// A stored session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// The agent it belongs to.
    pub agent: AgentId,
    /// A name to show.
    pub name: String,
    /// The backend it was created for.
    pub backend: String,
    /// Who owns it.
    pub principal: String,
    /// Whether it takes messages.
    pub state: SessionState,
    /// The client's own notes.
    pub metadata: BTreeMap<String, String>,
    /// What becomes of a message that finds it at work; `None` for what its agent says.
    pub when_busy: Option<WhenBusy>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub last_active: Timestamp,
    /// What it has used and holds.
    pub totals: SessionTotals,
    /// Messages before this sequence number are kept but no longer sent to the model.
    pub context_start: u64,
    /// The sequence number the next message gets.
    pub next_message: u64,
    /// The epoch of the owner that may write to it.
    pub epoch: u64,
}

impl SessionRecord {
    /// Where it came from, when it is a fork.
    pub fn origin(&self) -> Option<Origin> {
        Origin::of(&self.metadata)
    }
}

/// What the sessions of one agent are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentTotals {
    /// Sessions that take messages.
    pub active_sessions: u64,
    /// Messages stored in all its sessions.
    pub messages: u64,
}

/// Which sessions are wanted; `None` means any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Owned by this principal.
    pub principal: Option<String>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// In this state.
    pub state: Option<SessionState>,
    /// Created for this backend.
    pub backend: Option<String>,
}

/// Stores conversations.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Creates a session. [`Error::Exists`] when the id is taken.
    async fn create(&self, new: NewSession) -> Result<SessionRecord, Error>;

    /// The session, or `None`.
    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, Error>;

    /// Sessions that match, the most recently active first.
    async fn list(&self, filter: &SessionFilter, page: Page) -> Result<Listed<SessionRecord>, Error>;

    /// What the sessions of each agent are together. An agent without sessions is left out.
    async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error>;

    /// Makes a session of the first turns of another, in one transaction: its messages with the calls they hold, under new ids.
    /// What it has used begins at zero. [`Error::Exists`] when its id is taken, [`Error::Missing`] when the other is not there or
    /// has no such turn that has ended.
    async fn fork(&self, fork: NewFork) -> Result<SessionRecord, Error>;

    /// Removes a session with its turns, messages, calls and index entries; `false` when there is none.
    async fn delete(&self, id: &SessionId) -> Result<bool, Error>;
}
