//! Messages and finding them again.

use async_trait::async_trait;

use loom_base::{MessageId, NanoUsd, SessionId, Timestamp, TurnId};
use loom_llm::{ContentBlock, Role};

use crate::{Error, Listed, Page};

/// A message to store. Messages are only ever added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Its place in the session, from 0, without gaps.
    pub seq: u64,
    /// Who speaks.
    pub role: Role,
    /// What was said.
    pub content: Vec<ContentBlock>,
    /// What was sent to the model beside it, such as a recommended pattern; not part of what was said.
    pub beside: Vec<ContentBlock>,
    /// About how many tokens it is as sent.
    pub tokens: u64,
    /// What it cost to generate.
    pub cost: NanoUsd,
    /// When.
    pub created_at: Timestamp,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRecord {
    /// Its session.
    pub session: SessionId,
    /// Its turn.
    pub turn: TurnId,
    /// The message.
    pub message: NewMessage,
}

/// A full-text question about messages.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// Words to find; all of them, in any order. Not a query language: nothing in it is special.
    pub text: String,
    /// In this session only.
    pub session: Option<SessionId>,
    /// Hits at most.
    pub limit: u32,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageHit {
    /// The message.
    pub record: MessageRecord,
    /// How well it fits; larger is better, and only comparable within one search.
    pub score: f64,
}

/// Stores messages. They are added by [`TurnStore::advance`](crate::TurnStore::advance).
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Messages of a session, oldest first.
    async fn list(&self, session: &SessionId, page: Page) -> Result<Listed<MessageRecord>, Error>;

    /// The newest messages of a session from sequence number `from` on, oldest first: as many as fit `tokens`, and the
    /// one that no longer fits, so that the caller knows whether more were there.
    async fn recent(&self, session: &SessionId, from: u64, tokens: u64) -> Result<Vec<MessageRecord>, Error>;

    /// The messages of the turn that `opening` opens, oldest first, `most` of them.
    async fn of_turn(&self, opening: MessageId, most: u32) -> Result<Vec<MessageRecord>, Error>;

    /// Messages that contain all words of the query, best first. Messages that the index has not reached yet are found
    /// too.
    async fn search(&self, query: &SearchQuery) -> Result<Vec<MessageHit>, Error>;

    /// Brings the full-text index up to `limit` messages forward; returns how many it indexed.
    async fn index_more(&self, limit: u32) -> Result<u32, Error>;
}
