//! Looking after a store as a whole: reading all of it, counting it, copying it, making it smaller.

use std::path::Path;

use async_trait::async_trait;

use loom_agent::Event;
use loom_base::{SessionId, Timestamp, TurnId};

use crate::{Error, MessageRecord, SessionRecord, ToolCallRecord, TurnRecord};

/// A row and its place among its kind. One that does not decode is an error by itself, not of those beside it.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The sequence number, or the order of storing.
    pub place: i64,
    /// What it holds.
    pub row: Result<T, Error>,
}

/// All that is stored of a turn, row by row.
#[derive(Clone, Debug)]
pub struct StoredTurn {
    /// The turn's own row.
    pub turn: Result<TurnRecord, Error>,
    /// How many events that row says there are.
    pub events_said: i64,
    /// The events that are there, in order.
    pub events: Vec<Stored<Event>>,
    /// The tool calls, in the order they were asked.
    pub calls: Vec<Stored<ToolCallRecord>>,
}

/// Something that is wrong with the database itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong, by kind and id.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Sessions.
    pub sessions: u64,
    /// Turns.
    pub turns: u64,
    /// Of these, the ones that have not ended.
    pub unfinished: u64,
    /// Messages.
    pub messages: u64,
    /// Tool calls of which nobody knows whether they happened.
    pub unknown_effects: u64,
    /// Tool calls that wait for an approval.
    pub pending_approvals: u64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sessions.
    pub sessions: u64,
    /// Their turns.
    pub turns: u64,
    /// Their messages.
    pub messages: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.turns += other.turns;
        self.messages += other.messages;
    }
}

/// The size of a database before and after it was made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// One session as it is at one moment, however long reading it takes. What is written meanwhile is not seen.
#[async_trait]
pub trait SessionReader: Send {
    /// The session's own row.
    async fn session(&mut self) -> Result<Result<SessionRecord, Error>, Error>;

    /// The ids of its turns in the order they were stored, `limit` of those after `place`.
    async fn turns(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<TurnId>>, Error>;

    /// All of one turn; `None` when it is not there.
    async fn turn(&mut self, turn: TurnId) -> Result<Option<StoredTurn>, Error>;

    /// Its messages by their sequence numbers, `limit` of those after `place`.
    async fn messages(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<MessageRecord>>, Error>;
}

/// Looks after a store. What a database has its own tools for is [`Error::Unsupported`], which names them.
#[async_trait]
pub trait UpkeepStore: Send + Sync {
    /// What it holds.
    async fn counts(&self) -> Result<StoreCounts, Error>;

    /// What is wrong with the database itself, whatever is stored in it: its pages, references and indexes.
    async fn damages(&self) -> Result<Vec<Damage>, Error>;

    /// The ids of sessions as they are stored, in their order as texts: `limit` of those after `after`.
    async fn session_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error>;

    /// Reads one session, by its id as it is stored; `None` when it is not there.
    async fn read(&self, session: &str) -> Result<Option<Box<dyn SessionReader>>, Error>;

    /// Writes a whole copy, as the store is at one moment, to a new file; returns its bytes. Turns go on meanwhile. The
    /// file is there whole or not at all; one that is there already is [`Error::Exists`].
    async fn back_up(&self, file: &Path) -> Result<u64, Error>;

    /// Gives the room of what was removed back to the file system. Writes wait meanwhile.
    async fn vacuum(&self) -> Result<Shrunk, Error>;

    /// Sessions that nothing has happened in since `before`, and that nothing is owed to: no turn that has not ended, no
    /// effect that someone must resolve. By id, `limit` of those after `after`.
    async fn idle(
        &self,
        before: Timestamp,
        after: Option<&SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, Error>;

    /// Removes those of `sessions` that are still idle, in one transaction.
    async fn remove_idle(&self, sessions: &[SessionId], before: Timestamp) -> Result<Removed, Error>;
}
