//! Puts a Loom together.

use std::path::PathBuf;
use std::sync::Arc;

use loom_base::{Clock, ErrorCode, IdSource, NanoUsd, Secret};
use loom_config::{Loaded, Per, ServerBudget, StorageBackend, Tracer};
use loom_fabric::ExecutionBackend;
use loom_llm::{Catalog, LlmProvider, Sampling};
use loom_patterns::Source;
use loom_runtime::{
    AgentDefinition, Budget, Error, ModelDefaults, OnExceeded, Parts, Period, Runtime, RuntimeLimits,
};
use loom_telemetry::Metrics;
use loom_tools::{Hook, Tool};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Loom;
use crate::backends::BackendRegistry;
use crate::hooks::Hooks;
use crate::library::PatternLibrary;
use crate::providers::ProviderRegistry;
use crate::store::{Place, Store};
use crate::system::{SystemClock, SystemIds};
use crate::watch::{Folders, Loader, Lookup, Refused};

/// Collects what a Loom is made of; [`build`](Self::build) makes it.
pub struct Builder {
    data_dir: Option<PathBuf>,
    db_path: Option<PathBuf>,
    postgres: Option<Secret>,
    folders: Folders,
    lookup: Lookup,
    configured: Option<Loaded>,
    providers: Vec<(String, Arc<dyn LlmProvider>)>,
    backends: Vec<Arc<dyn ExecutionBackend>>,
    tools: Vec<Arc<dyn Tool>>,
    hooks: Vec<Arc<dyn Hook>>,
    agents: Vec<AgentDefinition>,
    defaults: ModelDefaults,
    catalog: Catalog,
    limits: RuntimeLimits,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            data_dir: None,
            db_path: None,
            postgres: None,
            folders: Folders::default(),
            lookup: Arc::new(|_| None),
            configured: None,
            providers: Vec::new(),
            backends: Vec::new(),
            tools: Vec::new(),
            hooks: Vec::new(),
            agents: Vec::new(),
            defaults: ModelDefaults::default(),
            catalog: Catalog::built_in(),
            limits: RuntimeLimits::default(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        }
    }
}

impl Builder {
    /// Takes folders, providers and defaults from a configuration. What is set beside it wins.
    #[must_use]
    pub fn config(mut self, loaded: Loaded) -> Self {
        let config = &loaded.config;
        let paths = &config.paths;
        self.data_dir = Some(paths.data_dir.clone());
        self.db_path = Some(paths.db_path.clone());
        self.folders = Folders {
            patterns: Some(paths.patterns_dir.clone()),
            backends: Some(paths.backends_dir.clone()),
            agents: Some(paths.agents_dir.clone()),
        };
        let models = config.provider_names().into_iter().filter_map(|name| {
            let model = config.provider(name)?.model;
            Some((name.to_owned(), model))
        });
        self.defaults = ModelDefaults {
            provider: config.llm.provider.clone(),
            models: models.collect(),
            max_tokens: Some(config.llm.max_tokens),
            sampling: Sampling { temperature: config.llm.temperature, ..Sampling::default() },
        };
        self.limits.lease = config.storage.lease();
        self.limits.budget = server_budget(&config.budget);
        self.configured = Some(loaded);
        self
    }

    /// Keeps everything below `path`, which is made when it is not there. One Loom at a time can use it.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Keeps sessions in the PostgreSQL database at `url`, `postgres://user:password@host:port/database`, instead of the data
    /// directory. Several Looms may share it: each session is worked on by one of them.
    #[must_use]
    pub fn postgres(mut self, url: Secret) -> Self {
        self.postgres = Some(url);
        self
    }

    /// Reads patterns from the YAML files below `path` too, and follows their changes.
    #[must_use]
    pub fn patterns_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.folders.patterns = Some(path.into());
        self
    }

    /// Reads agents from the YAML files below `path`, and follows their changes.
    #[must_use]
    pub fn agents_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.folders.agents = Some(path.into());
        self
    }

    /// Reads backends from the YAML files below `path`, and follows their changes.
    #[must_use]
    pub fn backends_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.folders.backends = Some(path.into());
        self
    }

    /// Answers `${NAME}` in agent and backend files, and says where programs (`PATH`) and the secrets of hooks are. Without it
    /// every such reference is an error.
    #[must_use]
    pub fn variables(mut self, lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.lookup = Arc::new(lookup);
        self
    }

    /// Adds a model provider under a name. The first one added answers for agents that name none.
    #[must_use]
    pub fn provider(
        mut self,
        name: impl Into<String>,
        model: impl Into<String>,
        provider: Arc<dyn LlmProvider>,
    ) -> Self {
        let name = name.into();
        self.defaults.provider.get_or_insert_with(|| name.clone());
        self.defaults.models.insert(name.clone(), model.into());
        self.providers.push((name, provider));
        self
    }

    /// Adds a data backend under its own name.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn ExecutionBackend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// Gives every agent a tool.
    #[must_use]
    pub fn tool(mut self, tool: impl Into<Arc<dyn Tool>>) -> Self {
        self.tools.push(tool.into());
        self
    }

    /// Runs a hook at fixed points of every agent's turns, before the hooks of the agent's own file.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Adds an agent; one of that name in the store is updated to this definition.
    #[must_use]
    pub fn agent(mut self, definition: AgentDefinition) -> Self {
        self.agents.push(definition);
        self
    }

    /// Replaces what is known of models: windows and prices.
    #[must_use]
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Replaces the bounds of the runtime.
    #[must_use]
    pub fn limits(mut self, limits: RuntimeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the machine's clock and randomness, for tests.
    #[must_use]
    pub fn time(mut self, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        self.clock = clock;
        self.ids = ids;
        self
    }

    /// Opens the store, reads patterns, backends and agents, and starts to follow their folders.
    pub async fn build(self) -> Result<Loom, Error> {
        let place = self.place()?;
        let metrics = Arc::new(Metrics::new());
        let library = Arc::new(PatternLibrary::new(self.folders.patterns.clone()));
        // Most of a cold start; the store and the watches are made meanwhile.
        let reading = tokio::task::spawn_blocking({
            let library = Arc::clone(&library);
            move || library.load()
        });
        let store = Store::open(place, &self.clock, &metrics).await?;
        let backends = Arc::new(BackendRegistry::new(Arc::clone(&self.clock), store.files()));
        self.backends.iter().for_each(|backend| backends.add(backend));
        let loader = Arc::new(Loader {
            folders: self.folders.clone(),
            library: Arc::clone(&library),
            backends: Arc::clone(&backends),
            lookup: Arc::clone(&self.lookup),
            metrics: Arc::clone(&metrics),
            refused: Refused::default(),
        });
        let (watching, waiting) = loader.watch()?;
        loader.load_backends();
        reading.await.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        let instance = self.ids.uuid().simple().to_string();
        let traced = self
            .configured
            .as_ref()
            .is_none_or(|loaded| loaded.config.observability.tracer() == Tracer::Embedded);
        let runtime = Runtime::new(self.parts(&store, &library, &backends, &metrics, &instance)?).await?;
        for definition in self.agents {
            put_agent(&runtime, definition).await?;
        }
        loader.load_agents(runtime.agents()).await;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(closing.clone().run_until_cancelled_owned(runtime.keep_hold()));
        tasks.spawn(closing.clone().run_until_cancelled_owned(runtime.follow_others()));
        tasks.spawn_blocking({
            let library = Arc::clone(&library);
            move || library.prepare()
        });
        tasks.spawn(Arc::clone(&loader).follow(waiting, Arc::clone(runtime.agents())));
        let runtime = Arc::new(runtime);
        take_up(&tasks, &runtime, &closing);
        let loom = Loom {
            runtime,
            library,
            backends,
            #[cfg(feature = "server")]
            loader,
            store,
            metrics,
            clock: self.clock,
            #[cfg(feature = "server")]
            ids: self.ids,
            instance,
            traced,
            watching: Some(watching),
            tasks,
            closing,
        };
        Ok(loom)
    }

    /// Where the store is to be. The database's URL is read only now, and only when it is used.
    pub(crate) fn place(&self) -> Result<Place, Error> {
        if let Some(url) = &self.postgres {
            return Ok(Place::Server(url.clone()));
        }
        if let Some(loaded) = &self.configured
            && loaded.config.storage.backend == StorageBackend::Postgres
        {
            let url = loaded.secrets.get(&loaded.config.storage.dsn).map_err(|error| {
                let message =
                    format!("`storage.backend` is `postgres`, and `storage.dsn` gives no address: {error}");
                Error::new(error.code(), message)
            })?;
            return Ok(Place::Server(url));
        }
        let directory = self.data_dir.clone().ok_or_else(|| {
            let message = "a Loom needs a place for its data: call `data_dir` or `postgres`";
            Error::new(ErrorCode::InvalidArgument, message)
        })?;
        let database = self.db_path.clone().unwrap_or_else(|| directory.join("loom.db"));
        let database = std::path::absolute(&database).unwrap_or(database);
        Ok(Place::File { directory, database })
    }

    fn parts(
        &self,
        store: &Store,
        library: &Arc<PatternLibrary>,
        backends: &Arc<BackendRegistry>,
        metrics: &Arc<Metrics>,
        instance: &str,
    ) -> Result<Parts, Error> {
        let mut providers = ProviderRegistry::new(Arc::clone(&self.clock));
        if let Some(loaded) = &self.configured {
            providers.add_configured(&loaded.config, &loaded.secrets)?;
        }
        for (name, provider) in &self.providers {
            providers.add(name.clone(), Arc::clone(provider));
        }
        Ok(Parts {
            stores: store.stores(),
            providers: Arc::new(providers),
            catalog: self.catalog.clone(),
            defaults: self.defaults.clone(),
            backends: Arc::clone(backends) as _,
            patterns: Arc::clone(library) as Arc<dyn Source>,
            extra_tools: self.tools.clone(),
            extra_hooks: self.hooks.clone(),
            hook_maker: Arc::new(Hooks {
                clock: Arc::clone(&self.clock),
                lookup: Arc::clone(&self.lookup),
                secrets: self.configured.as_ref().map(|loaded| loaded.secrets.clone()),
                client: std::sync::Mutex::default(),
            }),
            limits: self.limits.clone(),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            metrics: Arc::clone(metrics),
            instance: instance.to_owned(),
        })
    }
}

/// What all turns may use together.
fn server_budget(budget: &ServerBudget) -> Budget {
    Budget {
        cost: budget.nano_usd().map(NanoUsd::from_nanos),
        tokens: budget.tokens,
        tool_calls: budget.tool_calls,
        time: budget.time(),
        period: match budget.per {
            Per::Day => Period::Day,
            Per::Month => Period::Month,
            Per::Total => Period::Total,
        },
        on_exceeded: match budget.on_exceeded {
            loom_config::OnExceeded::Stop => OnExceeded::Stop,
            loom_config::OnExceeded::Degrade => OnExceeded::Degrade,
            loom_config::OnExceeded::Ask => OnExceeded::Ask,
        },
    }
}

/// Takes up what a stop cut off, and keeps house, until the Loom closes.
fn take_up(tasks: &TaskTracker, runtime: &Arc<Runtime>, closing: &CancellationToken) {
    let (of_turns, of_keys) = (Arc::clone(runtime), Arc::clone(runtime));
    let closed = closing.clone();
    tasks.spawn(async move {
        let taken_up = closed.run_until_cancelled(of_turns.sessions().take_up_unfinished()).await;
        if let Some(Err(error)) = taken_up {
            tracing::error!(%error, "unfinished turns were not found; each is taken up when its session is used");
        }
    });
    tasks.spawn(async move { of_keys.sessions().forget_old_keys().await });
}

/// Another that shares the store may put its own first.
async fn put_agent(runtime: &Runtime, definition: AgentDefinition) -> Result<(), Error> {
    match put_agent_once(runtime, definition.clone()).await {
        Err(error) if error.code == ErrorCode::StoreConflict => put_agent_once(runtime, definition).await,
        other => other,
    }
}

async fn put_agent_once(runtime: &Runtime, definition: AgentDefinition) -> Result<(), Error> {
    match runtime.agents().get(&definition.name) {
        Ok(agent) => runtime.agents().update(&agent.id, definition).await.map(drop),
        Err(_) => runtime.agents().create(definition).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use loom_fabric::{BackendDefinition, BackendErrorKind};

    use super::*;

    fn refusal(loom: &Loom, path: &Path) -> Option<BackendErrorKind> {
        let text = format!("type: sqlite\nconnection: {{path: '{}'}}", path.display());
        let definition = BackendDefinition::from_yaml("b.yaml", &text, "own", &|_| None).unwrap();
        loom.backends.prepare(&definition, Path::new("/")).err().map(|error| error.kind)
    }

    #[tokio::test]
    async fn no_file_of_the_store_is_a_backend_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        let mut builder = Loom::builder().data_dir(&data);
        builder.db_path = Some(elsewhere.join("main.db"));
        let loom = builder.build().await.unwrap();
        let files = [&data, &elsewhere].map(|folder| {
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>()
        });
        let files = files.concat();
        assert!(files.contains(&data.join("spans.db")) && files.contains(&elsewhere.join("main.db")));
        for (number, file) in files.iter().enumerate() {
            let hard = folder.path().join(format!("hard-{number}"));
            std::fs::hard_link(file, &hard).unwrap();
            let dotted = file.parent().unwrap().join("..").join(file.strip_prefix(folder.path()).unwrap());
            let mut names = vec![file.clone(), hard, dotted];
            #[cfg(unix)]
            {
                let soft = folder.path().join(format!("soft-{number}"));
                std::os::unix::fs::symlink(file, &soft).unwrap();
                names.push(soft);
            }
            for name in names {
                assert_eq!(refusal(&loom, &name), Some(BackendErrorKind::Refused), "{}", name.display());
            }
        }
        let other = data.join("shop.db");
        std::fs::write(&other, "").unwrap();
        assert_eq!(refusal(&loom, &other), None);
    }
}
