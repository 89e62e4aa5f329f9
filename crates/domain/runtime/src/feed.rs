//! What clients see of a running turn: an append-only list that any number of them read at their own pace.
//!
//! A slow reader never slows the turn, and a reader that comes late sees everything from the start. The list lives as
//! long as the turn runs or someone reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use loom_agent::{CallOutcome, Spent};
use loom_base::{AgentId, CallId, Digest, NanoUsd, SessionId, Timestamp, TraceId, TurnId};
use loom_store::PatternUse;

use crate::Error;

/// Something a client may want to see.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// Its place in the feed, from 1.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub progress: Progress,
}

/// What happened, as clients see it.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A pattern was put beside the message.
    PatternSelected(PatternUse),
    /// The model is asked.
    ModelStarted {
        /// The answer asked for, from 1.
        call: u32,
        /// The attempt at it, from 1.
        attempt: u32,
    },
    /// The model call waits for a slot.
    Waiting,
    /// The model call failed and is tried again; text since the last `ModelStarted` is void.
    Retrying {
        /// What went wrong.
        reason: String,
        /// How long until the next attempt.
        delay: Duration,
    },
    /// More text.
    Delta(Arc<str>),
    /// A tool runs.
    ToolStarted {
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
        /// Its arguments.
        input: Arc<Value>,
    },
    /// A tool call has its result.
    ToolCompleted {
        /// The call.
        call: CallId,
        /// The tool.
        tool: Arc<str>,
        /// What became of it.
        outcome: CallOutcome,
        /// The result, when it succeeded.
        result: Option<Arc<Value>>,
        /// The error, when it did not.
        error: Option<String>,
        /// How long it ran.
        duration: Duration,
    },
    /// The turn has its answer; the last item.
    Completed(Arc<TurnResult>),
    /// The turn has none; the last item.
    Failed(Arc<TurnFailure>),
}

/// A turn's answer and what it took.
#[derive(Clone, Debug)]
pub struct TurnResult {
    /// The answer.
    pub text: String,
    /// Why the model stopped.
    pub finish: loom_llm::FinishReason,
    /// The newest tabular result of a tool: what `QueryResult` looks like as JSON.
    pub table: Option<Arc<Value>>,
    /// What it took.
    pub report: TurnReport,
}

/// A turn without an answer, why, and what it took all the same.
#[derive(Clone, Debug)]
pub struct TurnFailure {
    /// Why.
    pub error: Error,
    /// The text of the last answer, as far as it came.
    pub partial_text: String,
    /// What it took.
    pub report: TurnReport,
}

/// What a turn took.
#[derive(Clone, Debug)]
pub struct TurnReport {
    /// What was used.
    pub spent: Spent,
    /// Whether the model's prices are known; where not, the cost says nothing.
    pub priced: bool,
    /// The provider.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// The pattern beside the message.
    pub pattern: Option<PatternUse>,
    /// From acceptance to the end.
    pub duration: Duration,
    /// From acceptance to the first text.
    pub first_text: Option<Duration>,
    /// The context of the last model call.
    pub context: ContextUse,
    /// The digest of the agent's fixed context.
    pub rom: Digest,
    /// The tools the model could call.
    pub tools: Arc<[loom_llm::ToolDefinition]>,
}

impl TurnReport {
    /// The cost, or zero where prices are not known.
    pub const fn cost(&self) -> NanoUsd {
        self.spent.cost
    }
}

/// How full a context is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextUse {
    /// Tokens in it, about.
    pub used: u64,
    /// Tokens it could hold.
    pub room: u64,
    /// Messages of the session that are stored but no longer in it.
    pub messages_dropped: u64,
}

#[derive(Debug, Default)]
struct Inner {
    items: Vec<FeedItem>,
    over: bool,
}

/// The feed of one turn.
#[derive(Debug)]
pub struct Feed {
    inner: Mutex<Inner>,
    grown: Notify,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default(), grown: Notify::new() }
    }

    pub(crate) fn push(&self, at: Timestamp, progress: Progress) {
        let mut inner = self.lock();
        let id = inner.items.len() as u64 + 1;
        inner.over |= matches!(progress, Progress::Completed(_) | Progress::Failed(_));
        inner.items.push(FeedItem { id, at, progress });
        drop(inner);
        self.grown.notify_waiters();
    }

    /// When the first text came.
    pub(crate) fn first_text_at(&self) -> Option<Timestamp> {
        let inner = self.lock();
        inner.items.iter().find(|item| matches!(item.progress, Progress::Delta(_))).map(|item| item.at)
    }

    /// Ends the feed of a turn whose driver is gone, so that no reader waits for ever.
    pub(crate) fn close(&self) {
        self.lock().over = true;
        self.grown.notify_waiters();
    }

    /// The items after the one with the id `after` (0 for all), as they come, until the last.
    pub fn read(self: Arc<Self>, after: u64) -> impl Stream<Item = FeedItem> + Send {
        futures::stream::unfold((self, after), |(feed, after)| async move {
            let item = feed.next(after).await?;
            let id = item.id;
            Some((item, (feed, id)))
        })
    }

    async fn next(&self, after: u64) -> Option<FeedItem> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // Registered before looking, so that nothing pushed in between is missed.
            grown.as_mut().enable();
            {
                let inner = self.lock();
                let position = usize::try_from(after).unwrap_or(usize::MAX);
                if let Some(item) = inner.items.get(position) {
                    return Some(item.clone());
                }
                if inner.over {
                    return None;
                }
            }
            grown.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; were it poisoned, the list would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that was accepted: its ids are durable, and its feed can be read.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// Its trace.
    pub trace: TraceId,
    /// Its agent.
    pub agent: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// What clients see of it.
    pub feed: Arc<Feed>,
    pub(crate) cancel: CancellationToken,
}

impl Running {
    /// Asks the turn to stop. Its feed still ends with its last item.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the turn's end.
    pub async fn end(&self) -> Result<Arc<TurnResult>, Arc<TurnFailure>> {
        let mut after = 0;
        while let Some(item) = self.feed.next(after).await {
            after = item.id;
            match item.progress {
                Progress::Completed(result) => return Ok(result),
                Progress::Failed(failure) => return Err(failure),
                _ => {}
            }
        }
        Err(Arc::new(TurnFailure::abandoned()))
    }
}

impl TurnFailure {
    fn abandoned() -> Self {
        let message = "the turn's session stopped unexpectedly; its journal is kept";
        Self::of(Error::new(loom_base::ErrorCode::Internal, message))
    }

    /// A turn that could not be driven to its end.
    pub(crate) fn of(error: Error) -> Self {
        Self {
            error,
            partial_text: String::new(),
            report: TurnReport {
                spent: Spent::default(),
                priced: false,
                provider: String::new(),
                model: String::new(),
                pattern: None,
                duration: Duration::ZERO,
                first_text: None,
                context: ContextUse::default(),
                rom: Digest::of(""),
                tools: Vec::new().into(),
            },
        }
    }
}
