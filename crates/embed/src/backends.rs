//! The data backends by name: given by the embedding program, or defined by files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use loom_base::Clock;
use loom_fabric::{BackendDefinition, BackendError, Backends, ExecutionBackend};
use loom_fabric_sql::SharedPools;

type Current = BTreeMap<String, Entry>;

#[derive(Clone)]
struct Entry {
    backend: Arc<dyn ExecutionBackend>,
    /// The file that defines it, below the backends folder; `None` for one of the embedding program.
    file: Option<Arc<str>>,
}

/// Backends by name.
pub(crate) struct BackendRegistry {
    pools: SharedPools,
    forbidden: Vec<PathBuf>,
    current: ArcSwap<Current>,
}

impl BackendRegistry {
    /// No backends yet; none will ever be one of the `forbidden` files.
    pub(crate) fn new(clock: Arc<dyn Clock>, forbidden: Vec<PathBuf>) -> Self {
        Self { pools: SharedPools::new(clock), forbidden, current: ArcSwap::default() }
    }

    /// Adds a backend of the embedding program.
    pub(crate) fn add(&self, backend: &Arc<dyn ExecutionBackend>) {
        self.put(backend, None);
    }

    /// Makes what a definition describes, without adding it. Relative paths start at `base`. A database that does not
    /// answer is no error here: agents can be loaded, and their queries say that it does not answer until it does.
    pub(crate) fn prepare(
        &self,
        definition: &BackendDefinition,
        base: &Path,
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        self.pools.prepare_defined(definition, base, &self.forbidden)
    }

    /// Adds or replaces the backend of a file. Queries in flight on the old one end as they began.
    pub(crate) fn put(&self, backend: &Arc<dyn ExecutionBackend>, file: Option<&Arc<str>>) {
        let name = backend.name().to_owned();
        self.current.rcu(|current| {
            let mut next = Current::clone(current);
            if file.is_some() {
                next.retain(|_, entry| entry.file.as_ref() != file);
            }
            next.insert(name.clone(), Entry { backend: Arc::clone(backend), file: file.cloned() });
            next
        });
    }

    /// Removes the backend that a file defined; says whether there was one.
    pub(crate) fn remove_file(&self, file: &str) -> bool {
        let before = self.current.load_full();
        self.current.rcu(|current| {
            let mut next = Current::clone(current);
            next.retain(|_, entry| entry.file.as_deref() != Some(file));
            next
        });
        before.values().any(|entry| entry.file.as_deref() == Some(file))
    }

    /// Closes them all.
    pub(crate) async fn close(&self) {
        let last = self.current.swap(Arc::default());
        for entry in last.values() {
            entry.backend.close().await;
        }
    }
}

impl Backends for BackendRegistry {
    fn get(&self, name: &str) -> Option<Arc<dyn ExecutionBackend>> {
        self.current.load().get(name).map(|entry| Arc::clone(&entry.backend))
    }

    fn names(&self) -> Vec<String> {
        self.current.load().keys().cloned().collect()
    }
}
