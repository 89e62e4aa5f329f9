//! One tool: what it declares, how it is called, what it gives back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use loom_base::{AgentId, EffectId, ErrorCode, SessionId, TraceId};
use loom_llm::ToolDefinition;

/// What running a tool does to the world, and so what may be done after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Nothing: it can run any number of times.
    Pure,
    /// Something, but once for each effect id, however often it is called.
    Idempotent,
    /// Changes to our own store that commit together with its result.
    Transactional,
    /// Something that must not happen twice. The class of everything that declares none.
    Unsafe,
}

impl EffectClass {
    /// Whether a call may be repeated when its outcome is not known.
    pub const fn is_repeatable(self) -> bool {
        matches!(self, Self::Pure | Self::Idempotent)
    }

    /// Whether its intent must be durable before it starts.
    pub const fn needs_intent(self) -> bool {
        matches!(self, Self::Idempotent | Self::Unsafe)
    }
}

/// What a tool declares of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// What models see.
    pub definition: ToolDefinition,
    /// What it does to the world.
    pub effect: EffectClass,
    /// How long one call may take.
    pub timeout: Duration,
    /// The backend it works on, when it is one's.
    pub backend: Option<Arc<str>>,
}

/// On whose behalf a tool runs, and how it learns that it should stop.
#[derive(Clone, Debug)]
pub struct ToolContext {
    /// This call; the key that an idempotent tool sends downstream.
    pub effect: EffectId,
    /// The session that asked.
    pub session: SessionId,
    /// The agent that asked.
    pub agent: AgentId,
    /// The trace to continue.
    pub trace: TraceId,
    /// Fires when the call is cancelled or out of time. A tool stops its work, also the work it started elsewhere, and
    /// returns; dropping its future is not enough.
    pub cancel: CancellationToken,
}

/// What a call gave back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// The result as data: what clients see, and what the model reads as JSON.
    pub data: Value,
    /// Facts about the run for the trace, such as the query that was sent: small, and free of secrets.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub facts: serde_json::Map<String, Value>,
}

impl ToolOutput {
    /// A result with no facts.
    pub fn new(data: Value) -> Self {
        Self { data, facts: serde_json::Map::new() }
    }

    /// The same result with one more fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// How a call failed, as far as the caller must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolErrorKind {
    /// It failed and will fail again: the model is told and may choose otherwise.
    Failed,
    /// It failed before doing anything, and a later try may work.
    Unavailable,
    /// It was stopped; whether it took effect is not known unless its class says so.
    Interrupted,
}

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// How it failed.
    pub kind: ToolErrorKind,
    /// The stable code users see.
    pub code: ErrorCode,
    /// What was wrong and what would be right, for a model or a person to read.
    pub message: String,
    /// Facts about the run for the trace, as in [`ToolOutput::facts`].
    pub facts: serde_json::Map<String, Value>,
}

impl ToolError {
    /// A failure that the same call would meet again.
    pub fn failed(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { kind: ToolErrorKind::Failed, code, message: message.into(), facts: serde_json::Map::new() }
    }

    /// A failure before anything was done.
    pub fn unavailable(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { kind: ToolErrorKind::Unavailable, ..Self::failed(code, message) }
    }

    /// A call that was stopped.
    pub fn interrupted(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { kind: ToolErrorKind::Interrupted, ..Self::failed(code, message) }
    }

    /// The same failure with one more fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// Something an agent can do.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What it declares.
    fn spec(&self) -> &ToolSpec;

    /// Does it. `input` has been checked against the declared schema.
    async fn call(&self, input: Value, context: ToolContext) -> Result<ToolOutput, ToolError>;
}
