//! Agent definitions and their versions.

use async_trait::async_trait;
use serde_json::Value;

use loom_base::{AgentId, Digest, Timestamp};

use crate::Error;

/// Where a definition came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSource {
    /// A watched file.
    File {
        /// Its path, relative to the watched folder.
        path: String,
    },
    /// A request.
    Api,
}

/// One version of an agent's definition.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRecord {
    /// The agent.
    pub id: AgentId,
    /// Its name, unique among agents.
    pub name: String,
    /// The version, from 1.
    pub version: u32,
    /// The definition.
    pub definition: Value,
    /// The digest of the canonical definition.
    pub digest: Digest,
    /// Where it came from.
    pub source: AgentSource,
    /// When the first version was stored.
    pub created_at: Timestamp,
    /// When this version was stored.
    pub updated_at: Timestamp,
}

/// Stores agents. Old versions are kept: turns refer to them.
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// Stores a version. The first has version 1; a later one must follow the stored one directly, else
    /// [`Error::Conflict`]. A name that another agent has is [`Error::Exists`].
    async fn put(&self, record: AgentRecord) -> Result<(), Error>;

    /// The current version of every agent, by name.
    async fn list(&self) -> Result<Vec<AgentRecord>, Error>;

    /// One version, or `None`.
    async fn version(&self, id: &AgentId, version: u32) -> Result<Option<AgentRecord>, Error>;

    /// Removes an agent from the list; its versions stay for the turns that refer to them. `false` when there is none.
    async fn delete(&self, id: &AgentId) -> Result<bool, Error>;
}
