//! Spans beyond the turn, model-call and tool spans that the journal tells.

use async_trait::async_trait;
use serde_json::{Map, Value};

use loom_base::{Timestamp, TraceId};

use crate::Error;

/// One ended span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: u64,
    /// The span it is part of.
    pub parent: Option<u64>,
    /// Its name.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What is known of it, redacted.
    pub attributes: Map<String, Value>,
}

/// Stores spans, bounded: the oldest go first. They may be lost in a crash; nothing else is built on them.
#[async_trait]
pub trait SpanStore: Send + Sync {
    /// Adds spans.
    async fn append(&self, spans: Vec<SpanRecord>) -> Result<(), Error>;

    /// The spans of a trace, by start.
    async fn of_trace(&self, trace: TraceId) -> Result<Vec<SpanRecord>, Error>;
}
