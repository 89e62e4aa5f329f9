//! The agents there are: definitions with versions, and what turns need of each, built once and swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use loom_base::{AgentId, Clock, Digest, ErrorCode, IdSource, Timestamp};
use loom_fabric::Backends;
use loom_llm::Providers;
use loom_patterns::{Snapshot, Source};
use loom_store::{AgentRecord, AgentSource, AgentStore, Hint, HintStore};
use loom_tools::{Hook, Tool};

use crate::build::{Built, Ingredients, build};
use crate::{AgentDefinition, Error, HookMaker};

/// An agent, in the version that new turns use.
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// The version of its definition, from 1.
    pub version: u32,
    /// The definition.
    pub definition: Arc<AgentDefinition>,
    /// Where the definition came from.
    pub source: AgentSource,
    /// When it was created.
    pub created_at: Timestamp,
    /// When this version was stored.
    pub updated_at: Timestamp,
    /// Why the newest edit of its file is not in use; `None` when it is.
    pub error: Option<String>,
    /// Whether no file defines it any more: it is not listed and takes no messages until one does again.
    away: bool,
    digest: Digest,
    built: ArcSwapOption<Built>,
}

impl Agent {
    /// The same agent, defined by a file whose newest edit has this `error`.
    fn here(&self, error: Option<String>) -> Self {
        let built = ArcSwapOption::new(self.built.load_full());
        let definition = Arc::clone(&self.definition);
        Self {
            id: self.id.clone(),
            definition,
            source: self.source.clone(),
            error,
            away: false,
            built,
            ..*self
        }
    }

    /// The same agent, defined by no file.
    fn gone(&self) -> Self {
        Self { away: true, ..self.here(None) }
    }

    /// Refuses an agent that no file defines any more.
    pub(crate) fn usable(self: Arc<Self>) -> Result<Arc<Self>, Error> {
        if !self.away {
            return Ok(self);
        }
        let (name, file) = (&self.definition.name, self.file().unwrap_or_default());
        let message = format!(
            "agent {name:?} was defined by the file {file}, which is gone or defines another agent now; it is back, \
             with its sessions, once a file in the agents folder defines an agent of that name"
        );
        Err(Error::new(ErrorCode::AgentNotFound, message))
    }

    fn file(&self) -> Option<&str> {
        match &self.source {
            AgentSource::File { path } => Some(path),
            AgentSource::Api => None,
        }
    }
}

type Current = BTreeMap<AgentId, Arc<Agent>>;

/// The agents there are.
pub struct Agents {
    store: Arc<dyn AgentStore>,
    hints: Arc<dyn HintStore>,
    providers: Arc<dyn Providers>,
    backends: Arc<dyn Backends>,
    patterns: Arc<dyn Source>,
    extra_tools: Vec<Arc<dyn Tool>>,
    extra_hooks: Vec<Arc<dyn Hook>>,
    hook_maker: Arc<dyn HookMaker>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    current: ArcSwap<Current>,
    writing: Mutex<()>,
    generation: AtomicU64,
}

/// What an agent registry is made of.
pub struct AgentsParts {
    /// Where versions are kept.
    pub store: Arc<dyn AgentStore>,
    /// Tells those that share the store of new versions.
    pub hints: Arc<dyn HintStore>,
    /// The model providers that definitions name.
    pub providers: Arc<dyn Providers>,
    /// The backends that definitions name.
    pub backends: Arc<dyn Backends>,
    /// The patterns there are.
    pub patterns: Arc<dyn Source>,
    /// Tools of the embedding program, given to every agent.
    pub extra_tools: Vec<Arc<dyn Tool>>,
    /// Hooks of the embedding program, run for every agent.
    pub extra_hooks: Vec<Arc<dyn Hook>>,
    /// Makes the hooks that definitions name.
    pub hook_maker: Arc<dyn HookMaker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
}

impl Agents {
    /// Reads the stored agents. One that no longer decodes is left out, logged, and kept in the store.
    pub async fn load(parts: AgentsParts) -> Result<Self, Error> {
        let mut current = Current::new();
        for record in parts.store.list().await? {
            match from_record(&record) {
                Ok(agent) => drop(current.insert(agent.id.clone(), Arc::new(agent))),
                Err(error) => {
                    tracing::error!(agent.id = %record.id, %error, "a stored agent does not decode");
                }
            }
        }
        Ok(Self {
            store: parts.store,
            hints: parts.hints,
            providers: parts.providers,
            backends: parts.backends,
            patterns: parts.patterns,
            extra_tools: parts.extra_tools,
            extra_hooks: parts.extra_hooks,
            hook_maker: parts.hook_maker,
            clock: parts.clock,
            ids: parts.ids,
            current: ArcSwap::from_pointee(current),
            writing: Mutex::new(()),
            generation: AtomicU64::new(0),
        })
    }

    /// All agents that can be asked, by name.
    pub fn list(&self) -> Vec<Arc<Agent>> {
        let mut agents: Vec<_> = self.current.load().values().filter(|agent| !agent.away).cloned().collect();
        agents.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        agents
    }

    /// The agent with that id or name.
    pub fn get(&self, id_or_name: &str) -> Result<Arc<Agent>, Error> {
        let by_id = id_or_name.parse::<AgentId>().ok().and_then(|id| self.known(&id));
        let found = by_id.or_else(|| self.get_by_name(id_or_name));
        found.ok_or_else(|| Error::agent_not_found(id_or_name, &self.names()))?.usable()
    }

    /// The agent with that id, also one that no file defines any more.
    pub(crate) fn known(&self, id: &AgentId) -> Option<Arc<Agent>> {
        self.current.load().get(id).cloned()
    }

    /// An agent in the version that a turn began with.
    pub(crate) async fn of_version(&self, id: &AgentId, version: u32) -> Result<Arc<Agent>, Error> {
        if let Some(agent) = self.known(id).filter(|agent| agent.version == version) {
            return Ok(agent);
        }
        let corrupt = |reason: String| {
            let message = format!("version {version} of agent {id} {reason}");
            Error::new(ErrorCode::StoreCorrupt, message)
        };
        let record = self.store.version(id, version).await?;
        let record = record.ok_or_else(|| corrupt("is not stored".to_owned()))?;
        from_record(&record).map(Arc::new).map_err(|error| corrupt(format!("does not decode: {error}")))
    }

    /// The agent that answers when none is named: the one created first.
    pub fn default_agent(&self) -> Result<Arc<Agent>, Error> {
        let first = self.list().into_iter().min_by_key(|agent| (agent.created_at, agent.id.clone()));
        first.ok_or_else(|| Error::agent_not_found("default", &[]))
    }

    /// Creates an agent. A name that is taken is an error; an agent of that name whose file is gone is taken over, with
    /// its sessions.
    pub async fn create(&self, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        let of_name = self.get_by_name(&definition.name);
        if of_name.as_ref().is_some_and(|agent| !agent.away) {
            let message =
                format!("an agent called {:?} exists already; reload it to change it", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        self.put(of_name, definition, AgentSource::Api).await
    }

    /// Gives an agent a new definition, no longer a file's; the next turn uses it. The same definition again changes
    /// nothing.
    pub async fn update(&self, id: &AgentId, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        let agent = self.get(id.as_str())?;
        if definition.name != agent.definition.name && self.get_by_name(&definition.name).is_some() {
            let message = format!("another agent is called {:?}", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        self.put(Some(agent), definition, AgentSource::Api).await
    }

    /// Creates or updates the agent that a file defines. Its name says which it is: one of that name whose file is gone
    /// comes back, and the one that the file defined before goes when it had another name.
    pub async fn put_file(&self, path: &str, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        match self.take_file(path, definition.clone()).await {
            // Another that shares the store has read its copy of the file first.
            Err(error) if error.code == ErrorCode::StoreConflict => self.take_file(path, definition).await,
            other => other,
        }
    }

    async fn take_file(&self, path: &str, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let of_name = self.get_by_name(&definition.name);
        if let Some(other) = of_name.as_ref().filter(|agent| !agent.away && agent.file() != Some(path)) {
            let origin = other.file().map_or("a request".to_owned(), |file| format!("the file {file}"));
            let message = format!("an agent called {:?} was already created by {origin}", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        let agent = self.put(of_name, definition, AgentSource::File { path: path.to_owned() }).await?;
        self.put_others_away(&agent, path);
        Ok(agent)
    }

    /// Notes that the newest edit of a file cannot be used; the version before it stays in use.
    pub async fn refuse_file(&self, path: &str, error: String) {
        let _writing = self.writing.lock().await;
        let of_file = |agent: &&Arc<Agent>| agent.file() == Some(path);
        let current = self.current.load();
        // Of all that the file ever defined, the one that is here, else the one that was defined last.
        let newest = current.values().filter(of_file).max_by_key(|agent| (!agent.away, agent.updated_at));
        if let Some(agent) = newest {
            self.swap(agent.here(Some(error)));
            self.put_others_away(agent, path);
        }
    }

    /// Notes that a file is gone. The agent it defined is kept with its sessions, and waits until a file defines it again.
    pub async fn lose_file(&self, path: &str) {
        let _writing = self.writing.lock().await;
        if let Some(agent) = self.list().iter().find(|agent| agent.file() == Some(path)) {
            self.put_away(agent);
        }
    }

    /// A file defines one agent: the others that it defined before wait.
    fn put_others_away(&self, agent: &Agent, path: &str) {
        for other in self.list().iter().filter(|other| other.file() == Some(path) && other.id != agent.id) {
            self.put_away(other);
        }
    }

    fn put_away(&self, agent: &Agent) {
        let (name, file) = (&agent.definition.name, agent.file());
        tracing::warn!(
            agent.name = name,
            file,
            "no file defines an agent any more; it waits, with its sessions, for one"
        );
        self.swap(agent.gone());
    }

    /// Removes an agent. Its stored versions stay for the turns that refer to them.
    pub async fn delete(&self, id: &AgentId) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        self.store.delete(id).await?;
        let mut current = Current::clone(&self.current.load());
        current.remove(id);
        self.current.store(Arc::new(current));
        self.tell().await;
        Ok(())
    }

    /// Says that backends or tools have changed: each agent is built anew before its next turn.
    pub fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// What a turn of `agent` works with: built for the patterns and backends of this moment, once for all turns.
    pub fn built(&self, agent: &Agent) -> Result<Arc<Built>, Error> {
        let generation = self.generation.load(Ordering::Acquire);
        let patterns = self.patterns.snapshot();
        if let Some(built) = agent.built.load_full()
            && built.generation == generation
            && Arc::ptr_eq(&built.patterns, &patterns)
        {
            return Ok(built);
        }
        let built = Arc::new(self.build(&agent.definition, patterns, generation)?);
        agent.built.store(Some(Arc::clone(&built)));
        Ok(built)
    }

    /// What is wrong with an agent at the moment: the newest edit of its file, or what it refers to.
    pub fn problem_of(&self, agent: &Agent) -> Option<String> {
        agent.error.clone().or_else(|| self.built(agent).err().map(|error| error.to_string()))
    }

    fn build(
        &self,
        definition: &AgentDefinition,
        patterns: Arc<Snapshot>,
        generation: u64,
    ) -> Result<Built, Error> {
        if let Some(named) = &definition.llm.provider {
            let known = self.providers.names();
            if !known.contains(named) {
                return Err(Error::no_such_provider(named, &known));
            }
        }
        let ingredients = Ingredients {
            backends: &*self.backends,
            extra_tools: &self.extra_tools,
            extra_hooks: &self.extra_hooks,
            hook_maker: &*self.hook_maker,
        };
        build(definition, patterns, generation, &ingredients)
    }

    /// Stores a version and swaps it in, once it is known to build.
    async fn put(
        &self,
        before: Option<Arc<Agent>>,
        definition: AgentDefinition,
        source: AgentSource,
    ) -> Result<Arc<Agent>, Error> {
        let json = serde_json::to_value(&definition).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("a definition does not encode: {error}"))
        })?;
        let digest = Digest::of_json(&json);
        let same = before.as_ref().filter(|agent| agent.digest == digest && agent.source == source);
        if let Some(same) = same.filter(|agent| agent.error.is_none() && !agent.away) {
            return Ok(Arc::clone(same));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let built = self.build(&definition, self.patterns.snapshot(), generation)?;
        if let Some(same) = same {
            // The file is again what it was before an edit that could not be used, or before it was gone.
            return Ok(self.swap(same.here(None)));
        }
        let now = self.clock.now();
        let record = AgentRecord {
            id: before.as_ref().map_or_else(|| AgentId::new(&*self.ids), |agent| agent.id.clone()),
            name: definition.name.clone(),
            version: before.as_ref().map_or(1, |agent| agent.version + 1),
            definition: json,
            digest,
            source,
            created_at: before.as_ref().map_or(now, |agent| agent.created_at),
            updated_at: now,
        };
        if let Err(error) = self.store.put(record.clone()).await {
            self.catch_up().await?;
            return Err(error.into());
        }
        let agent = from_parts(&record, definition);
        agent.built.store(Some(Arc::new(built)));
        self.tell().await;
        Ok(self.swap(agent))
    }

    /// Tells the others that there is something to take in. They look now and then anyhow.
    async fn tell(&self) {
        if let Err(error) = self.hints.give(Hint::Agents).await {
            tracing::warn!(%error, "the others are not told at once that an agent has changed");
        }
    }

    /// Takes in what others that share the store have made of the agents: new ones, new versions, and those that were
    /// removed.
    pub async fn refresh(&self) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        self.catch_up().await
    }

    /// The same, by whoever is writing: what is here and not in the store was removed by another.
    async fn catch_up(&self) -> Result<(), Error> {
        let stored = self.store.list().await?;
        let mut current = Current::clone(&self.current.load());
        let before = current.len();
        current.retain(|id, _| stored.iter().any(|record| record.id == *id));
        if current.len() != before {
            self.current.store(Arc::new(current));
        }
        for record in stored {
            if self.known(&record.id).is_some_and(|known| known.version >= record.version) {
                continue;
            }
            match from_record(&record) {
                Ok(agent) => drop(self.swap(agent)),
                Err(error) => {
                    tracing::error!(agent.id = %record.id, %error, "a stored agent does not decode");
                }
            }
        }
        Ok(())
    }

    fn swap(&self, agent: Agent) -> Arc<Agent> {
        let agent = Arc::new(agent);
        let mut current = Current::clone(&self.current.load());
        current.insert(agent.id.clone(), Arc::clone(&agent));
        self.current.store(Arc::new(current));
        agent
    }

    /// The agent of that name, also one that no file defines any more.
    fn get_by_name(&self, name: &str) -> Option<Arc<Agent>> {
        self.current.load().values().find(|agent| agent.definition.name == name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.list().iter().map(|agent| agent.definition.name.clone()).collect()
    }
}

fn from_record(record: &AgentRecord) -> Result<Agent, serde_json::Error> {
    let definition = serde_json::from_value(record.definition.clone())?;
    Ok(from_parts(record, definition))
}

fn from_parts(record: &AgentRecord, definition: AgentDefinition) -> Agent {
    Agent {
        id: record.id.clone(),
        version: record.version,
        definition: Arc::new(definition),
        source: record.source.clone(),
        created_at: record.created_at,
        updated_at: record.updated_at,
        error: None,
        away: false,
        digest: record.digest,
        built: ArcSwapOption::empty(),
    }
}
