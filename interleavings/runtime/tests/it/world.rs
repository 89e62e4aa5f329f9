//! A whole runtime on a store in memory, with a model that says one thing and a clock that lets time pass at any moment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use loom_base::{Clock, Timestamp};
use loom_llm::{
    Capabilities, Catalog, Chunk, ChunkStream, CompletionRequest, FinishReason, LlmError, LlmProvider,
    Providers, Usage,
};
use loom_patterns::Registry;
use loom_runtime::{
    AgentDefinition, Error, HookDefinition, HookMaker, ModelDefaults, Parts, PatternChoice, Runtime,
    RuntimeLimits,
};
use loom_telemetry::Metrics;
use loom_testkit::CountingIds;
use loom_tools::Hook;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::memory::Memory;

/// Orders that are tried, by each of two ways to choose.
const ORDERS: usize = 150;
/// Where choices begin: the same orders each time.
const SEED: u64 = 7;
/// Changes of mind of the scheduler that looks for rare orders.
const DEPTH: usize = 3;
/// How long a session may do nothing.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// Lives `story` in many orders.
pub(crate) fn in_every_order<F>(story: impl Fn() -> F + Send + Sync + Copy + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let mut config = Config::new();
    // A turn is a large future.
    config.stack_size = 0x0020_0000;
    let run = move || shuttle::future::block_on(story());
    Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS), config.clone()).run(run);
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, ORDERS), config).run(run);
}

/// A runtime and what it remembers.
pub(crate) struct World {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) memory: Memory,
}

impl World {
    /// One whose sessions leave memory when they do nothing for `idle`.
    pub(crate) async fn new(idle: Duration) -> Self {
        let memory = Memory::default();
        let runtime = Runtime::new(Parts {
            stores: memory.stores(),
            providers: Arc::new(Speaker),
            catalog: Catalog::built_in(),
            defaults: ModelDefaults::default(),
            backends: Arc::new(Speaker),
            patterns: Arc::new(Registry::default()),
            extra_tools: Vec::new(),
            extra_hooks: Vec::new(),
            hook_maker: Arc::new(Speaker),
            limits: RuntimeLimits { idle, ..RuntimeLimits::default() },
            clock: Arc::new(Whenever),
            ids: Arc::new(CountingIds::default()),
            metrics: Arc::new(Metrics::default()),
            instance: "i".to_owned(),
        });
        let runtime = Arc::new(runtime.await.expect("it has its parts"));
        let mut agent = AgentDefinition::named("tester");
        agent.llm.provider = Some("speaker".to_owned());
        agent.llm.model = Some("m".to_owned());
        agent.patterns = PatternChoice { enabled: false, ..PatternChoice::default() };
        runtime.agents().create(agent).await.expect("it can be used");
        Self { runtime, memory }
    }

    /// Stops it; nothing is left in memory.
    pub(crate) async fn close(&self) {
        self.runtime.sessions().shut_down(Duration::from_secs(30)).await;
    }
}

/// Idleness is over at any moment; whatever else waits for a time waits for ever.
struct Whenever;

#[async_trait]
impl Clock for Whenever {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_225_600_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, span: Duration) {
        if span != IDLE {
            std::future::pending::<()>().await;
        }
        for _ in 0..thread_rng().gen_range(0..6) {
            shuttle::future::yield_now().await;
        }
    }
}

/// A model that says one thing, piece by piece, and the only one there is.
#[derive(Clone, Copy)]
struct Speaker;

#[async_trait]
impl LlmProvider for Speaker {
    fn name(&self) -> &'static str {
        "speaker"
    }

    fn capabilities(&self) -> &Capabilities {
        const NONE: Capabilities =
            Capabilities { tools: true, images: false, documents: false, prompt_cache: false };
        &NONE
    }

    async fn stream(&self, _request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        shuttle::future::yield_now().await;
        let said = [
            Chunk::Start { model: "m".into() },
            Chunk::Text { index: 0, delta: "hel".into() },
            Chunk::Text { index: 0, delta: "lo".into() },
            Chunk::Usage(Usage { input: 1, output: 1, ..Usage::default() }),
            Chunk::Finish(FinishReason::Stop),
        ];
        let pieces = futures::stream::iter(said).then(|piece| async move {
            shuttle::future::yield_now().await;
            Ok(piece)
        });
        Ok(pieces.boxed())
    }
}

impl Providers for Speaker {
    fn get(&self, name: &str) -> Option<Arc<dyn LlmProvider>> {
        (name == "speaker").then(|| Arc::new(*self) as Arc<dyn LlmProvider>)
    }

    fn names(&self) -> Vec<String> {
        vec!["speaker".to_owned()]
    }
}

impl loom_fabric::Backends for Speaker {
    fn get(&self, _name: &str) -> Option<Arc<dyn loom_fabric::ExecutionBackend>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl HookMaker for Speaker {
    fn make(&self, _definition: &HookDefinition) -> Result<Arc<dyn Hook>, Error> {
        Err(Error::new(loom_base::ErrorCode::InvalidArgument, "no agent has hooks here"))
    }
}
