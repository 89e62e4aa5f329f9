//! The runtime on a store that fails, is late and loses its replies, killed and started again, over many seeds, in a time
//! of its own.
//!
//! Each seed makes up sessions, messages, what goes wrong, and when the process dies. A life is a tokio runtime: dropped,
//! all that runs in it stops where it is. The store is a real one and outlives it. Time passes when nothing else does.
//!
//! `LOOM_SEEDS=1000..3000 cargo test -p loom-embed --test it faults` tries these seeds.

mod client;
mod dice;
mod hooks;
mod store;
mod world;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use loom_embed::base::{Clock, IdSource, SessionId};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{HookDefinition, HookMaker, ModelDefaults, Parts, Runtime, RuntimeLimits, Verdict};
use loom_embed::tools::{EffectClass, Hook};
use loom_fabric::{Backends, ExecutionBackend};
use loom_llm::{Catalog, LlmProvider, Providers};
use loom_patterns::Registry;
use loom_store::Stores;
use loom_store_sqlite::{Options, SqliteStore};
use loom_telemetry::Metrics;
use loom_testkit::{CountingIds, ManualClock};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;

use self::client::Client;
use self::dice::Dice;
use self::store::Faulty;
use self::world::World;
use crate::setup::{agent, folder};

/// Seeds that every run of the tests tries.
const SEEDS: Range<u64> = 0..60;
/// The share of the store's operations that something happens to, in percent.
const SHARE: u64 = 6;
/// How far time goes when nothing else happens.
const TICK: Duration = Duration::from_millis(50);
/// How often everybody is let run before nothing else happens.
const ROUNDS: usize = 50;
/// How long the last life may take, in its own time, until all is over.
const LAST: Duration = Duration::from_mins(20);

const JOBS: &[&str] = &["chat", "look-up", "put-away", "pay-up", "shop", "doomed"];
const SCRIPT: &str = "
latency_ms: 40
jitter_ms: 300
chunk_size: 8
chunk_delay_ms: 30
error_rate: 0.05
rules:
  - { when: { contains: doomed }, reply: { error: { class: invalid, message: no } } }
  - { when: { contains: shop, after_tool: buy }, reply: { text: 'All is done: {{user}}' } }
  - { when: { contains: shop, after_tool: put }, reply: { tool_calls: [
      { name: buy, arguments: { key: s3 } }, { name: look, arguments: { key: s4 } }, { name: pay, arguments: { key: s5 } }] } }
  - { when: { contains: shop }, reply: { tool_calls: [
      { name: look, arguments: { key: s1 } }, { name: put, arguments: { key: s2 } }] } }
  - { when: { after_tool: '*' }, reply: { text: 'It is done: {{user}}' } }
  - { when: { contains: look-up }, reply: { tool_calls: [{ name: look, arguments: { key: l1 } }] } }
  - { when: { contains: put-away }, reply: { tool_calls: [
      { name: put, arguments: { key: p1 } }, { name: put, arguments: { key: p2 } }] } }
  - { when: { contains: pay-up }, reply: { tool_calls: [
      { name: pay, arguments: { key: u1 } }, { name: put, arguments: { key: u2 } }, { name: buy, arguments: { key: u3 } }] } }
default: { text: 'You said {{user}}' }
";

/// No data, one model.
struct Model(Arc<MockProvider>);

impl Providers for Model {
    fn get(&self, name: &str) -> Option<Arc<dyn LlmProvider>> {
        (name == "scripted").then(|| Arc::clone(&self.0) as _)
    }

    fn names(&self) -> Vec<String> {
        vec!["scripted".to_owned()]
    }
}

struct NoBackends;

impl Backends for NoBackends {
    fn get(&self, _: &str) -> Option<Arc<dyn ExecutionBackend>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// No agent defines one; the program has its own.
struct NoHooks;

impl HookMaker for NoHooks {
    fn make(&self, _: &HookDefinition) -> Result<Arc<dyn Hook>, loom_embed::runtime::Error> {
        Err(loom_embed::runtime::Error::new(
            loom_embed::base::ErrorCode::InvalidConfig,
            "no hook is made here",
        ))
    }
}

/// What one seed tries.
struct Trial {
    seed: u64,
    world: Arc<World>,
    clients: Vec<Arc<Client>>,
    ids: Arc<dyn IdSource>,
}

/// How often what was to be tried was.
#[derive(Debug, Default)]
struct Tried {
    turns: usize,
    lives: usize,
    unsafe_calls: usize,
    unsafe_hooks: usize,
}

impl Trial {
    fn new(seed: u64, clock: &Arc<ManualClock>, ids: &Arc<dyn IdSource>) -> Self {
        let dice = Dice::of(seed, "plan");
        let sessions: Vec<_> = (0..dice.within(1..4)).map(|_| SessionId::new(&**ids)).collect();
        let client =
            |number| Arc::new(Client::new(format!("{seed}-{number}"), JOBS, &sessions, &dice, clock));
        let clients = (0..dice.within(2..7)).map(client).collect();
        Self { seed, world: World::new(seed, clock), clients, ids: Arc::clone(ids) }
    }

    async fn runtime(&self, stores: Stores) -> Result<Runtime, loom_embed::runtime::Error> {
        let clock = Arc::clone(&self.world.clock) as Arc<dyn Clock>;
        let script = Script { seed: self.seed, ..Script::parse(SCRIPT).unwrap() };
        let model = MockProvider::new(script, Arc::clone(&clock));
        let runtime = Runtime::new(Parts {
            stores,
            providers: Arc::new(Model(Arc::new(model))),
            catalog: Catalog::built_in(),
            defaults: ModelDefaults {
                provider: Some("scripted".to_owned()),
                models: [("scripted".to_owned(), "script-1".to_owned())].into(),
                ..ModelDefaults::default()
            },
            backends: Arc::new(NoBackends),
            patterns: Arc::new(Registry::default()),
            extra_tools: self.world.tools(),
            extra_hooks: self.world.hooks.hooks(),
            hook_maker: Arc::new(NoHooks),
            limits: RuntimeLimits::default(),
            clock,
            ids: Arc::clone(&self.ids),
            metrics: Arc::new(Metrics::new()),
            instance: "trial".to_owned(),
        })
        .await?;
        if runtime.agents().list().is_empty() {
            let mut definition = agent();
            definition.permissions.tools.insert("pay".to_owned(), Verdict::Allow);
            runtime.agents().create(definition).await?;
        }
        Ok(runtime)
    }

    /// Lives until everybody is done, or dies after so long. In the end a life in which nothing goes wrong looks at what came
    /// of it all.
    fn live(&self, faulty: &Arc<Faulty>, span: Duration) -> Option<Vec<String>> {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        let done = tokio.block_on(async {
            let runtime = Arc::new(self.runtime(faulty.stores()).await.unwrap());
            let takes_up = Arc::clone(&runtime);
            tokio::spawn(async move { takes_up.sessions().take_up_unfinished().await });
            let (world, asked) = (Arc::clone(&self.world), Arc::clone(&runtime));
            tokio::spawn(async move { world.people(&asked).await });
            let clients = self.clients.iter().cloned().map(|client| {
                let runtime = Arc::clone(&runtime);
                tokio::spawn(async move { client.run(&runtime).await })
            });
            let clients: Vec<_> = clients.collect();
            let end = self.world.clock.now() + span;
            while self.world.clock.now() < end {
                if clients.iter().all(tokio::task::JoinHandle::is_finished) && faulty.owes_nothing().await {
                    return if faulty.is_sound() { Some(self.violations(&runtime).await) } else { None };
                }
                for _ in 0..ROUNDS {
                    yield_now().await;
                    faulty.rests().await;
                }
                self.world.clock.advance(TICK);
            }
            None
        });
        drop(tokio);
        done
    }

    async fn violations(&self, runtime: &Runtime) -> Vec<String> {
        let mut found = self.world.violations();
        for client in &self.clients {
            found.extend(client.violations(runtime).await);
        }
        found
    }
}

/// Tries one seed: lives that end in a kill, then one in which nothing goes wrong and everything ends.
fn try_seed(stores: &Stores, store_tokio: &Handle, trial: &Trial, tried: &mut Tried) -> Vec<String> {
    let dice = Dice::of(trial.seed, "lives");
    let clock = &trial.world.clock;
    for life in 0..dice.within(1..4) {
        let faults = Dice::of(trial.seed, &format!("faults of life {life}"));
        let faulty = Faulty::new(stores, store_tokio, clock, faults, SHARE);
        trial.live(&faulty, dice.millis(300..6_000));
        store_tokio.block_on(faulty.rests());
        tried.lives += 1;
    }
    let faulty = Faulty::new(stores, store_tokio, clock, Dice::of(trial.seed, "none"), 0);
    let found = trial.live(&faulty, LAST).unwrap_or_else(|| {
        let waiting: Vec<_> = trial.clients.iter().filter_map(|client| client.waits()).collect();
        vec![format!("it never ended; still waiting: {waiting:#?}")]
    });
    store_tokio.block_on(faulty.rests());
    tried.turns += trial.clients.iter().filter(|client| client.turn().is_some()).count();
    tried.unsafe_calls += trial.world.calls(EffectClass::Unsafe);
    tried.unsafe_hooks += trial.world.hooks.unsafe_runs();
    found
}

fn seeds() -> Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says so")]
    let Ok(text) = std::env::var("LOOM_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn whatever_the_store_does_nothing_is_lost_and_nothing_happens_twice() {
    let folder = folder();
    let store_tokio = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock = Arc::new(ManualClock::default());
    let ids = Arc::new(CountingIds::default()) as Arc<dyn IdSource>;
    let options = Options::new(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>);
    let store = store_tokio.block_on(SqliteStore::open(options)).unwrap();
    let mut tried = Tried::default();
    for seed in seeds() {
        let trial = Trial::new(seed, &clock, &ids);
        let found = try_seed(&store.stores(), store_tokio.handle(), &trial, &mut tried);
        assert!(found.is_empty(), "seed {seed}:\n{}", found.join("\n"));
    }
    let stores = store.stores();
    let upkeep = loom_embed::runtime::Upkeep::new(&stores);
    let mut wrong = Vec::new();
    let verified = store_tokio.block_on(upkeep.verify(&mut |found| wrong.push(found))).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    store_tokio.block_on(store.close());
    println!("{tried:?}, {verified:?}");
    assert!(
        tried.turns > 0 && tried.lives > 0 && tried.unsafe_calls > 0 && tried.unsafe_hooks > 0,
        "{tried:?}"
    );
}
