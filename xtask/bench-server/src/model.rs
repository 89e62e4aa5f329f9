//! The model: the scripted one that users have, behind a limit on calls at the same time and with counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::StreamExt as _;
use loom_embed::SystemClock;
use loom_embed::llm::{Capabilities, ChunkStream, CompletionRequest, ErrorClass, LlmError, LlmProvider};
use loom_embed::mock::{MockProvider, Script};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::Settings;

/// The provider's name.
pub(crate) const NAME: &str = "bench-mock";
/// The model's name.
pub(crate) const MODEL: &str = "bench-mock-v1";

/// What a turn with a database asks for first.
const QUERY: &str = "SELECT COUNT(*) AS orders FROM orders";

/// A model that answers at once, or as slowly and unreliably as it is told to.
pub(crate) struct Model {
    script: MockProvider,
    queries: bool,
    places: ArcSwap<Semaphore>,
    counts: Arc<Counts>,
}

/// Calls, and how long they took.
#[derive(Debug, Default)]
struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    least: AtomicU64,
    most: AtomicU64,
}

impl Model {
    /// A model that behaves as `settings` say; it `queries` the database before it answers.
    pub(crate) fn new(settings: &Settings, queries: bool) -> Result<Self> {
        settings.check()?;
        let script = MockProvider::new(script(settings, queries)?, Arc::new(SystemClock));
        let places = ArcSwap::from_pointee(Semaphore::new(places(settings)));
        Ok(Self { script, queries, places, counts: Arc::default() })
    }

    /// Behaves as `settings` say from the next call on.
    pub(crate) fn reconfigure(&self, settings: &Settings) -> Result<()> {
        self.script.reconfigure(script(settings, self.queries)?);
        self.places.store(Arc::new(Semaphore::new(places(settings))));
        Ok(())
    }

    /// The counts, under the harness's names; times are in nanoseconds.
    pub(crate) fn counted(&self) -> Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        let (succeeded, failed) = (of(&counts.succeeded), of(&counts.failed));
        let total = succeeded + failed;
        json!({
            "TotalCalls": total,
            "SuccessCount": succeeded,
            "ErrorCount": failed,
            "AvgLatency": of(&counts.nanos).checked_div(total).unwrap_or_default(),
            "MinLatency": of(&counts.least),
            "MaxLatency": of(&counts.most),
        })
    }

    /// Sets the counts to zero.
    pub(crate) fn reset(&self) {
        let Counts { succeeded, failed, nanos, least, most } = &*self.counts;
        for counter in [succeeded, failed, nanos, least, most] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

fn places(settings: &Settings) -> usize {
    settings.llm_concurrency_limit.min(Semaphore::MAX_PERMITS)
}

fn script(settings: &Settings, queries: bool) -> Result<Script> {
    let answer = json!({
        "text": "Load test response for: {{user}}",
        "usage": { "input": 50, "output": 100 },
    });
    let query = json!({ "tool_calls": [{ "name": "query", "arguments": { "sql": QUERY } }] });
    let after = json!([{ "when": { "after_tool": "*" }, "reply": answer }]);
    let (rules, default) = if queries { (after, query) } else { (json!([]), answer) };
    let script = json!({
        "latency_ms": millis(settings.llm_latency),
        "jitter_ms": millis(settings.llm_jitter),
        "error_rate": settings.llm_error_rate,
        "chunk_size": settings.stream_chunk_size,
        "chunk_delay_ms": millis(settings.stream_chunk_delay),
        "rules": rules,
        "default": default,
    });
    // JSON is YAML.
    Ok(Script::parse(&script.to_string())?)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A call under way; counted when it is dropped.
struct Call {
    counts: Arc<Counts>,
    begun: Instant,
    succeeded: bool,
    _place: OwnedSemaphorePermit,
}

impl Drop for Call {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let counter = if self.succeeded { &self.counts.succeeded } else { &self.counts.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.counts.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.counts.most.fetch_max(nanos, Ordering::Relaxed);
        let less = |least: u64| (least == 0 || nanos < least).then_some(nanos);
        // It fails where the least is less already.
        let _ = self.counts.least.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

#[async_trait]
impl LlmProvider for Model {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        self.script.capabilities()
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        let place = Arc::clone(&self.places.load()).acquire_owned().await;
        let closed = |_| LlmError::new(NAME, ErrorClass::Transient, "the model is gone");
        let place = place.map_err(closed)?;
        let counts = Arc::clone(&self.counts);
        let mut call = Call { counts, begun: Instant::now(), succeeded: false, _place: place };
        let chunks = self.script.stream(request).await?;
        call.succeeded = true;
        Ok(chunks
            .map(move |chunk| {
                // Whole, so that the call ends with the last of its chunks and not before the first.
                let call = &mut call;
                call.succeeded &= chunk.is_ok();
                chunk
            })
            .boxed())
    }
}
