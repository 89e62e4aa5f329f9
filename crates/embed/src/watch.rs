//! Keeps patterns, backends and agents in step with their folders.
//!
//! Patterns are taken in on the watching thread, as soon as a file is closed. Backends and agents need connections and
//! the store, so their changes go to one task that takes them in order: backends before the agents that name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loom_base::{ErrorCode, expand_variables};
use loom_fabric::{BackendDefinition, ExecutionBackend};
use loom_files::{Changes, Watch};
use loom_runtime::{AgentFile, Agents, Error, parse_agent};
use loom_telemetry::Metrics;
use tokio::sync::mpsc;

use crate::backends::BackendRegistry;
use crate::library::{PatternLibrary, YAML, name_in};

/// Looks up a variable that a file refers to.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The folders that are watched; `None` for none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folders {
    pub(crate) patterns: Option<PathBuf>,
    pub(crate) backends: Option<PathBuf>,
    pub(crate) agents: Option<PathBuf>,
}

impl Folders {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.patterns, &self.backends, &self.agents].into_iter().flatten()
    }
}

/// Whether something in `folder` is among `changes`.
fn concern(changes: &Changes, folder: Option<&PathBuf>) -> bool {
    let Some(folder) = folder else { return false };
    changes.changed.iter().chain(&changes.removed).any(|path| name_in(folder, path).is_some())
}

/// Changes that were seen and that backends and agents have not heard of yet.
pub(crate) struct Waiting(mpsc::UnboundedReceiver<Changes>);

/// What the folders' contents go to.
pub(crate) struct Loader {
    pub(crate) folders: Folders,
    pub(crate) library: Arc<PatternLibrary>,
    pub(crate) backends: Arc<BackendRegistry>,
    pub(crate) lookup: Lookup,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refused: Refused,
}

/// The agent files that are not in use as they are, each with the reason.
#[derive(Default)]
pub(crate) struct Refused(Mutex<BTreeMap<PathBuf, String>>);

impl Refused {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        // Nothing panics while it is held; were it poisoned, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch of all folders; dropping it ends the watching.
pub(crate) struct Watching {
    _watch: Watch,
}

impl Loader {
    /// Reads the backends folder as it is now.
    pub(crate) fn load_backends(&self) {
        let Some(folder) = &self.folders.backends else { return };
        let changed = loom_files::files(folder, YAML);
        self.take_backends(&Changes { changed, removed: Vec::new() });
    }

    /// Reads the agents folder as it is now. Agents whose files are gone are not in use.
    pub(crate) async fn load_agents(&self, agents: &Agents) {
        let Some(folder) = &self.folders.agents else { return };
        let changed = loom_files::files(folder, YAML);
        let here: Vec<_> = changed.iter().filter_map(|path| name_in(folder, path)).collect();
        for agent in agents.list() {
            if let loom_store::AgentSource::File { path } = &agent.source
                && !here.iter().any(|name| **name == **path)
            {
                agents.lose_file(path).await;
            }
        }
        self.take_agents(agents, &Changes { changed, removed: Vec::new() }).await;
    }

    /// Watches the folders from now on. Patterns are taken in at once; the other changes wait for
    /// [`follow`](Self::follow).
    pub(crate) fn watch(self: &Arc<Self>) -> Result<(Watching, Waiting), Error> {
        let (queue, waiting) = mpsc::unbounded_channel();
        let loader = Arc::clone(self);
        let on_change = move |changes: Changes| {
            loader.take_patterns(&changes);
            // Nobody waits any more only while Loom is being closed.
            drop(queue.send(changes));
        };
        let watch = Watch::start(self.folders.all(), YAML, on_change);
        let (watch, _) = watch.map_err(|error| Error::new(error.code(), error.to_string()))?;
        Ok((Watching { _watch: watch }, Waiting(waiting)))
    }

    /// Takes in the changes that wait, and those to come, until the watch is dropped.
    pub(crate) async fn follow(self: Arc<Self>, mut waiting: Waiting, agents: Arc<Agents>) {
        while let Some(changes) = waiting.0.recv().await {
            if concern(&changes, self.folders.backends.as_ref()) {
                self.take_backends(&changes);
                agents.invalidate();
            }
            self.take_agents(&agents, &changes).await;
            self.retry_agents(&agents).await;
        }
    }

    fn take_patterns(&self, changes: &Changes) {
        if concern(changes, self.folders.patterns.as_ref()) {
            let report = self.library.take(&changes.changed, &changes.removed);
            let outcome = if report.errors.is_empty() { "ok" } else { "error" };
            self.metrics.reloads.add(["patterns", outcome], 1);
        }
    }

    fn take_backends(&self, changes: &Changes) {
        let Some(folder) = &self.folders.backends else { return };
        for path in &changes.removed {
            if let Some(file) = name_in(folder, path) {
                self.backends.remove_file(&file);
            }
        }
        for path in &changes.changed {
            let Some(file) = name_in(folder, path) else { continue };
            let taken = self.take_backend(folder, path, &file);
            self.count("backends", &file, taken);
        }
    }

    fn take_backend(&self, folder: &Path, path: &Path, file: &Arc<str>) -> Result<(), Error> {
        let text = read(path)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let definition = BackendDefinition::from_yaml(file, &text, &stem, &*self.lookup)
            .map_err(|error| Error::new(error.code, error.to_string()))?;
        let backend = self.backends.prepare(&definition, folder);
        let backend = backend.map_err(|error| Error::new(error.code(), error.to_string()))?;
        self.backends.put(&backend, Some(file));
        tokio::spawn(warn_if_silent(backend));
        Ok(())
    }

    async fn take_agents(&self, agents: &Agents, changes: &Changes) {
        let Some(folder) = &self.folders.agents else { return };
        for path in &changes.removed {
            let Some(file) = name_in(folder, path) else { continue };
            self.refused.lock().remove(path);
            agents.lose_file(&file).await;
            self.metrics.reloads.add(["agents", "ok"], 1);
        }
        for path in &changes.changed {
            let Some(file) = name_in(folder, path) else { continue };
            let taken = self.take_agent(agents, path, &file).await;
            self.count("agents", &file, taken);
        }
    }

    /// Tries the refused agent files again: what they lacked, a backend, a pattern or a free name, may be there now.
    /// Says nothing of those that lack it still.
    async fn retry_agents(&self, agents: &Agents) {
        let Some(folder) = &self.folders.agents else { return };
        let refused = self.refused.lock().clone();
        for (path, reason) in &refused {
            let Some(file) = name_in(folder, path) else { continue };
            let taken = self.take_agent(agents, path, &file).await;
            if !taken.as_ref().is_err_and(|error| error.to_string() == *reason) {
                self.count("agents", &file, taken);
            }
        }
    }

    async fn take_agent(&self, agents: &Agents, path: &Path, file: &Arc<str>) -> Result<(), Error> {
        let taken = match read_agent(path, file, &*self.lookup) {
            Ok(read) => {
                let put = agents.put_file(file, read.definition.clone()).await.map(drop);
                put.map_err(|error| Error::new(error.code, read.refused(&error).to_string()))
            }
            Err(error) => Err(error),
        };
        match &taken {
            Ok(()) => drop(self.refused.lock().remove(path)),
            Err(error) => {
                agents.refuse_file(file, error.to_string()).await;
                self.refused.lock().insert(path.to_owned(), error.to_string());
            }
        }
        taken
    }

    fn count(&self, kind: &str, file: &str, taken: Result<(), Error>) {
        let outcome = if taken.is_ok() { "ok" } else { "error" };
        self.metrics.reloads.add([kind, outcome], 1);
        match taken {
            Ok(()) => tracing::info!(kind, file, "a file was loaded"),
            Err(error) => tracing::error!(kind, file, error.code = %error.code, %error, "a file is not used"),
        }
    }
}

/// Says so when a backend that was just loaded does not answer; nothing waits for it.
async fn warn_if_silent(backend: Arc<dyn ExecutionBackend>) {
    /// Longer than any database that works takes to answer.
    const PATIENCE: Duration = Duration::from_secs(5);
    if let Err(error) = backend.ping(PATIENCE).await {
        tracing::warn!(backend = backend.name(), %error, "a backend does not answer; it is used once it does");
    }
}

/// The definition in an agent file.
pub(crate) fn read_agent(
    path: &Path,
    file: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<AgentFile, Error> {
    let text = read(path)?;
    let expand = |text: &str| {
        expand_variables(text, &mut |name: &str| lookup(name)).map_err(|error| error.to_string())
    };
    parse_agent(file, &text, &expand).map_err(|error| Error::new(error.code, error.to_string()))
}

fn read(path: &Path) -> Result<String, Error> {
    /// Larger than any definition a person writes.
    const MAX_BYTES: u64 = 1 << 20;
    let invalid = |message: String| Error::new(ErrorCode::InvalidYaml, message);
    let unreadable = |error| invalid(format!("{} cannot be read: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(invalid(format!("{} has {size} bytes; at most {MAX_BYTES} are read", path.display())));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}
