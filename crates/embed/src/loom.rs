//! A running Loom.

use std::sync::Arc;
use std::time::Duration;

use loom_base::Clock;
#[cfg(feature = "server")]
use loom_base::IdSource;
use loom_fabric::{BackendDefinition, BackendError, Backends, ExecutionBackend};
use loom_patterns::PatternFiles;
use loom_runtime::{Error, Running, Runtime, TurnFailure, TurnRequest, TurnResult};
use loom_telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Builder;
use crate::backends::BackendRegistry;
use crate::library::PatternLibrary;
use crate::store::Store;
#[cfg(feature = "server")]
use crate::watch::Loader;
use crate::watch::Watching;

/// Agents, their data and their memory, in this process. It listens nowhere.
///
/// Several can run side by side, each on its own data directory, or sharing one PostgreSQL database.
pub struct Loom {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) library: Arc<PatternLibrary>,
    pub(crate) backends: Arc<BackendRegistry>,
    #[cfg(feature = "server")]
    pub(crate) loader: Arc<Loader>,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "server")]
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) instance: String,
    pub(crate) traced: bool,
    pub(crate) watching: Option<Watching>,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
}

/// A question without an answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    /// The turn was not accepted; nothing was stored.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The turn ran and has no answer.
    #[error("{}", .0.error)]
    Failed(Arc<TurnFailure>),
}

impl Loom {
    /// Starts with nothing but the built-in patterns.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Asks the default agent in a new session and waits for the answer.
    pub async fn ask(&self, question: impl Into<String>) -> Result<Arc<TurnResult>, AskError> {
        let running = self.start(TurnRequest::new(question)).await?;
        running.end().await.map_err(AskError::Failed)
    }

    /// Starts a turn; what it does can be followed in its feed.
    pub async fn start(&self, request: TurnRequest) -> Result<Running, Error> {
        self.runtime.sessions().start(request).await
    }

    /// Agents, sessions, traces.
    pub const fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The patterns.
    pub fn patterns(&self) -> Arc<dyn PatternFiles> {
        Arc::clone(&self.library) as Arc<dyn PatternFiles>
    }

    /// The data backend of that name.
    pub fn backend(&self, name: &str) -> Option<Arc<dyn ExecutionBackend>> {
        self.backends.get(name)
    }

    /// Adds the backend that a definition describes, whether it answers or not; agents that name it use it from their next turn on.
    pub fn add_backend(
        &self,
        definition: &BackendDefinition,
        base: &std::path::Path,
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        let backend = self.backends.prepare(definition, base)?;
        self.backends.add(&backend);
        self.runtime.agents().invalidate();
        Ok(backend)
    }

    /// What it has counted.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The name by which its spans are told from those of other Looms in this process.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Takes no more messages, lets running turns end within `patience`, cancels the rest, and closes everything.
    pub async fn close(mut self, patience: Duration) {
        self.runtime.sessions().shut_down(patience).await;
        drop(self.watching.take());
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.backends.close().await;
        if let Err(error) = self.runtime.leave().await {
            tracing::warn!(%error, "the sessions of this instance are free only once its hold has ended");
        }
        self.store.close().await;
    }
}
