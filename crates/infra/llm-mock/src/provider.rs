//! The provider that plays the script.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::{StreamExt, stream};

use loom_base::{Clock, Deadline};
use loom_llm::{Capabilities, Chunk, ChunkStream, CompletionRequest, ErrorClass, LlmError, LlmProvider};

use crate::chance::Chance;
use crate::conversation::Conversation;
use crate::reply::{Arrivals, InputEstimate};
use crate::script::Script;

/// The provider's name.
pub(crate) const NAME: &str = "mock";

/// A scripted provider. See the [crate documentation](crate) for what a script can say.
pub struct MockProvider {
    script: ArcSwap<Script>,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
    estimate: InputEstimate,
    counters: Counters,
}

/// How often a provider was called since it was made or last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls started.
    pub started: u64,
    /// Calls refused before anything was generated, by a scripted or an injected error.
    pub refused: u64,
    /// Tool calls made.
    pub tool_calls: u64,
}

#[derive(Default)]
struct Counters {
    started: AtomicU64,
    refused: AtomicU64,
    tool_calls: AtomicU64,
}

impl MockProvider {
    /// A provider that plays `script` in the time of `clock`.
    pub fn new(script: Script, clock: Arc<dyn Clock>) -> Self {
        let capabilities = Capabilities { tools: true, images: true, documents: true, prompt_cache: true };
        Self {
            script: ArcSwap::from_pointee(script),
            clock,
            capabilities,
            estimate: InputEstimate::default(),
            counters: Counters::default(),
        }
    }

    /// Plays `script` from the next call on. Calls under way end as they began.
    pub fn reconfigure(&self, script: Script) {
        self.script.store(Arc::new(script));
    }

    /// The script in force.
    pub fn script(&self) -> Arc<Script> {
        self.script.load_full()
    }

    /// The counts so far.
    pub fn calls(&self) -> Calls {
        Calls {
            started: self.counters.started.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            tool_calls: self.counters.tool_calls.load(Ordering::Relaxed),
        }
    }

    /// Sets the counts to zero.
    pub fn reset_calls(&self) {
        for counter in [&self.counters.started, &self.counters.refused, &self.counters.tool_calls] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn refuse(&self, error: LlmError) -> LlmError {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        error
    }
}

#[async_trait]
impl LlmProvider for MockProvider {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        self.counters.started.fetch_add(1, Ordering::Relaxed);
        let script = self.script.load_full();
        let mut chance = Chance::new(script.seed, request.context.effect);
        let (latency, arrivals) = {
            let conversation = Conversation::new(&request);
            let reply = script.reply(&conversation);
            let refusal = reply.error.as_ref().filter(|error| error.after_chunks.is_none());
            let arrivals = match refusal {
                Some(failure) => Err(failure.to_error()),
                None => Ok(reply.arrivals(&conversation, &request, &self.estimate, script.chunk_size)),
            };
            (reply.latency.unwrap_or(script.latency), arrivals)
        };
        let fails = chance.next_fraction() < script.error_rate.get();
        let latency = latency + script.jitter.mul_f64(chance.next_fraction());
        pause(&*self.clock, latency, request.context.deadline).await.map_err(|error| self.refuse(error))?;
        if fails {
            return Err(self.refuse(LlmError::new(NAME, ErrorClass::Transient, "injected failure")));
        }
        let arrivals = arrivals.map_err(|error| self.refuse(error))?;
        let calls = arrivals.iter().filter(|item| matches!(item, Ok(Chunk::ToolUse { .. }))).count();
        self.counters.tool_calls.fetch_add(calls as u64, Ordering::Relaxed);
        Ok(pace(arrivals, &script, &self.clock, request.context.deadline))
    }
}

/// The arrivals with the script's pauses before them. Without pauses nothing waits and nothing is spawned.
fn pace(
    arrivals: Arrivals,
    script: &Script,
    clock: &Arc<dyn Clock>,
    deadline: Option<Deadline>,
) -> ChunkStream {
    let (ttft, delay) = (script.ttft, script.chunk_delay);
    if ttft.is_zero() && delay.is_zero() {
        return stream::iter(arrivals).boxed();
    }
    let clock = Arc::clone(clock);
    let mut content = 0;
    let pauses = arrivals.into_iter().map(move |arrival| {
        let is_content = !matches!(arrival, Ok(Chunk::Start { .. } | Chunk::Usage(_) | Chunk::Finish(_)));
        let span = match (is_content, content) {
            (false, _) => Duration::ZERO,
            (true, 0) => ttft,
            (true, _) => delay,
        };
        content += usize::from(is_content);
        (span, arrival)
    });
    let paced = stream::iter(pauses).then(move |(span, arrival)| {
        let clock = Arc::clone(&clock);
        async move {
            pause(&*clock, span, deadline).await?;
            arrival
        }
    });
    // Nothing follows an error, neither a scripted one nor a deadline.
    let mut failed = false;
    paced
        .take_while(move |item| futures::future::ready(!std::mem::replace(&mut failed, item.is_err())))
        .boxed()
}

/// Lets `span` pass, or as much of it as the caller waits for.
async fn pause(clock: &dyn Clock, span: Duration, deadline: Option<Deadline>) -> Result<(), LlmError> {
    if span.is_zero() {
        return Ok(());
    }
    let left = deadline.map(|deadline| deadline.since(clock.now())).filter(|left| *left < span);
    clock.sleep(left.unwrap_or(span)).await;
    match left {
        Some(_) => Err(LlmError::new(NAME, ErrorClass::Deadline, "the deadline passed")),
        None => Ok(()),
    }
}
