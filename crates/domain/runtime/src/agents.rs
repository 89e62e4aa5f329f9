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
use loom_store::{AgentRecord, AgentSource, AgentStore};
use loom_tools::Tool;

use crate::build::{Built, Ingredients, build};
use crate::{AgentDefinition, Error};

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
    digest: Digest,
    built: ArcSwapOption<Built>,
}

impl Agent {
    fn with_error(&self, error: Option<String>) -> Self {
        let built = ArcSwapOption::new(self.built.load_full());
        let definition = Arc::clone(&self.definition);
        Self { id: self.id.clone(), definition, source: self.source.clone(), error, built, ..*self }
    }
}

type Current = BTreeMap<AgentId, Arc<Agent>>;

/// The agents there are.
pub struct Agents {
    store: Arc<dyn AgentStore>,
    providers: Arc<dyn Providers>,
    backends: Arc<dyn Backends>,
    patterns: Arc<dyn Source>,
    extra_tools: Vec<Arc<dyn Tool>>,
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
    /// The model providers that definitions name.
    pub providers: Arc<dyn Providers>,
    /// The backends that definitions name.
    pub backends: Arc<dyn Backends>,
    /// The patterns there are.
    pub patterns: Arc<dyn Source>,
    /// Tools of the embedding program, given to every agent.
    pub extra_tools: Vec<Arc<dyn Tool>>,
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
            providers: parts.providers,
            backends: parts.backends,
            patterns: parts.patterns,
            extra_tools: parts.extra_tools,
            clock: parts.clock,
            ids: parts.ids,
            current: ArcSwap::from_pointee(current),
            writing: Mutex::new(()),
            generation: AtomicU64::new(0),
        })
    }

    /// All agents, by name.
    pub fn list(&self) -> Vec<Arc<Agent>> {
        let mut agents: Vec<_> = self.current.load().values().cloned().collect();
        agents.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        agents
    }

    /// The agent with that id or name.
    pub fn get(&self, id_or_name: &str) -> Result<Arc<Agent>, Error> {
        let current = self.current.load();
        let by_id = id_or_name.parse::<AgentId>().ok().and_then(|id| current.get(&id));
        let found = by_id.or_else(|| current.values().find(|agent| agent.definition.name == id_or_name));
        found.cloned().ok_or_else(|| Error::agent_not_found(id_or_name, &self.names()))
    }

    /// The agent that answers when none is named: the one created first.
    pub fn default_agent(&self) -> Result<Arc<Agent>, Error> {
        let first =
            self.current.load().values().min_by_key(|agent| (agent.created_at, agent.id.clone())).cloned();
        first.ok_or_else(|| Error::agent_not_found("default", &[]))
    }

    /// Creates an agent. A name that is taken is an error.
    pub async fn create(&self, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        if self.get_by_name(&definition.name).is_some() {
            let message =
                format!("an agent called {:?} exists already; reload it to change it", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        self.put(None, definition, AgentSource::Api).await
    }

    /// Gives an agent a new definition; the next turn uses it. The same definition again changes nothing.
    pub async fn update(&self, id: &AgentId, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        let agent = self.get(id.as_str())?;
        if definition.name != agent.definition.name && self.get_by_name(&definition.name).is_some() {
            let message = format!("another agent is called {:?}", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        let source = agent.source.clone();
        self.put(Some(agent), definition, source).await
    }

    /// Creates or updates the agent that a file defines.
    pub async fn put_file(&self, path: &str, definition: AgentDefinition) -> Result<Arc<Agent>, Error> {
        let _writing = self.writing.lock().await;
        let source = AgentSource::File { path: path.to_owned() };
        let of_file = self.list().into_iter().find(|agent| agent.source == source);
        let of_name = self.get_by_name(&definition.name);
        if let Some(other) = of_name.as_ref().filter(|agent| agent.source != source) {
            let origin = match &other.source {
                AgentSource::File { path } => format!("the file {path}"),
                AgentSource::Api => "a request".to_owned(),
            };
            let message = format!("an agent called {:?} was already created by {origin}", definition.name);
            return Err(Error::new(ErrorCode::AgentExists, message));
        }
        self.put(of_file.or(of_name), definition, source).await
    }

    /// Notes that the newest edit of a file cannot be used; the version before it stays in use.
    pub async fn refuse_file(&self, path: &str, error: String) {
        let _writing = self.writing.lock().await;
        let source = AgentSource::File { path: path.to_owned() };
        if let Some(agent) = self.list().into_iter().find(|agent| agent.source == source) {
            self.swap(agent.with_error(Some(error)));
        }
    }

    /// Removes an agent. Its stored versions stay for the turns that refer to them.
    pub async fn delete(&self, id: &AgentId) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        self.store.delete(id).await?;
        let mut current = Current::clone(&self.current.load());
        current.remove(id);
        self.current.store(Arc::new(current));
        Ok(())
    }

    /// Removes the agent that a file defined.
    pub async fn delete_file(&self, path: &str) -> Result<(), Error> {
        let source = AgentSource::File { path: path.to_owned() };
        match self.list().into_iter().find(|agent| agent.source == source) {
            Some(agent) => self.delete(&agent.id).await,
            None => Ok(()),
        }
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
        let ingredients = Ingredients { backends: &*self.backends, extra_tools: &self.extra_tools };
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
        if let Some(same) = same.filter(|agent| agent.error.is_none()) {
            return Ok(Arc::clone(same));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let built = self.build(&definition, self.patterns.snapshot(), generation)?;
        if let Some(same) = same {
            // The file is again what it was before an edit that could not be used.
            return Ok(self.swap(same.with_error(None)));
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
        self.store.put(record.clone()).await?;
        let agent = from_parts(&record, definition);
        agent.built.store(Some(Arc::new(built)));
        Ok(self.swap(agent))
    }

    fn swap(&self, agent: Agent) -> Arc<Agent> {
        let agent = Arc::new(agent);
        let mut current = Current::clone(&self.current.load());
        current.insert(agent.id.clone(), Arc::clone(&agent));
        self.current.store(Arc::new(current));
        agent
    }

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
        digest: record.digest,
        built: ArcSwapOption::empty(),
    }
}
