//! The seam behind which every data source sits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loom_llm::ToolRole;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{BackendError, Cell, QueryResult, Resource, Schema};

/// The query language a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// SQLite's SQL.
    Sqlite,
    /// PostgreSQL's SQL.
    Postgres,
}

impl Dialect {
    /// The name patterns and messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Quotes an identifier so that no text in it can end the quotes.
    pub fn quote(self, identifier: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{}\"", identifier.replace('"', "\"\"")),
        }
    }

    /// The n-th (from 1) bound parameter's placeholder.
    pub fn placeholder(self, position: usize) -> String {
        match self {
            Self::Sqlite => format!("?{position}"),
            Self::Postgres => format!("${position}"),
        }
    }
}

/// What a backend can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The language of its queries.
    pub dialect: Dialect,
    /// Whether it refuses everything that could change data.
    pub read_only: bool,
    /// The tools it offers agents; `None` for all.
    pub tools: Option<Vec<ToolRole>>,
}

impl Capabilities {
    /// Whether it offers the tool that plays `role`.
    pub fn offers(&self, role: ToolRole) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.contains(&role))
    }
}

/// How much one query may bring back, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Rows returned at most; more are cut and [`QueryResult::truncated`] says so.
    pub max_rows: usize,
    /// Bytes returned at most, counted over the cells; more are cut likewise.
    pub max_bytes: usize,
    /// Time in the engine at most; its work is then stopped there.
    pub timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { max_rows: 1_000, max_bytes: 1 << 20, timeout: Duration::from_secs(30) }
    }
}

/// The bounds of one query.
#[derive(Clone, Debug, Default)]
pub struct QueryContext {
    /// How much and how long.
    pub limits: QueryLimits,
    /// Fires when the caller no longer wants the answer; the engine's work is then stopped.
    pub cancel: CancellationToken,
}

/// A source of data that agents can question.
#[async_trait]
pub trait ExecutionBackend: Send + Sync {
    /// The name it is configured under.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// What it holds, in a few words for models and people; `None` when nobody said.
    fn description(&self) -> Option<&str> {
        None
    }

    /// Runs one query with bound `parameters`.
    async fn execute_query(
        &self,
        query: &str,
        parameters: &[Cell],
        context: &QueryContext,
    ) -> Result<QueryResult, BackendError>;

    /// All tables with columns, keys and row estimates. Kept by the backend and refreshed when old.
    async fn get_schema(&self) -> Result<Arc<Schema>, BackendError>;

    /// What it holds, without columns.
    async fn list_resources(&self) -> Result<Vec<Resource>, BackendError>;

    /// Answers when the source does, within `deadline`; returns how long it took.
    async fn ping(&self, deadline: Duration) -> Result<Duration, BackendError>;

    /// Gives up its connections once the queries in flight have ended.
    async fn close(&self);
}

/// Finds backends by the names that agents use for them.
#[async_trait]
pub trait Backends: Send + Sync {
    /// The backend configured under `name`, or `None`.
    fn get(&self, name: &str) -> Option<Arc<dyn ExecutionBackend>>;

    /// The names that can be used, sorted.
    fn names(&self) -> Vec<String>;
}
