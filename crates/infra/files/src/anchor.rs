//! Keeps the system's watches where the folders are, through their deletion, replacement and return.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// The watched folders and the watches that are set for them.
pub(crate) struct Anchors {
    watcher: RecommendedWatcher,
    folders: Vec<PathBuf>,
    /// The folders under which everything is watched, with their real paths: those are what the system watches.
    trees: BTreeMap<PathBuf, PathBuf>,
    /// The parents that are watched to see their folder come and go.
    parents: BTreeSet<PathBuf>,
}

impl Anchors {
    /// No watches yet for `folders`, which are absolute.
    pub(crate) fn new(watcher: RecommendedWatcher, folders: Vec<PathBuf>) -> Self {
        Self { watcher, folders, trees: BTreeMap::new(), parents: BTreeSet::new() }
    }

    /// The folders to watch.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The event under the paths that the folders were given by, or nothing when it concerns none of them.
    pub(crate) fn locate(&self, mut event: Event) -> Option<Event> {
        for path in &mut event.paths {
            let given =
                self.trees.iter().find_map(|(folder, real)| Some(folder.join(path.strip_prefix(real).ok()?)));
            if let Some(given) = given.filter(|given| given != path) {
                *path = given;
            }
        }
        let concerns = |path: &PathBuf| {
            self.folders.iter().any(|folder| path.starts_with(folder) || folder.starts_with(path))
        };
        (event.need_rescan() || event.paths.iter().any(concerns)).then_some(event)
    }

    /// Takes note that what stands at the event's paths may not be what was watched there.
    pub(crate) fn note(&mut self, event: &Event) {
        if !matches!(event.kind, EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(_)) {
            return;
        }
        for path in &event.paths {
            for (folder, real) in &self.trees {
                if folder.starts_with(path) {
                    // It may be gone already.
                    let _ = self.watcher.unwatch(real);
                }
            }
            for parent in self.parents.iter().filter(|parent| parent.starts_with(path)) {
                let _ = self.watcher.unwatch(parent);
            }
            self.trees.retain(|folder, _| !folder.starts_with(path));
            self.parents.retain(|parent| !parent.starts_with(path));
        }
    }

    /// Sets the watches that are missing. Fails when the system refuses one on something that is there.
    pub(crate) fn renew(&mut self) -> notify::Result<()> {
        for folder in self.folders.clone() {
            // What is there to be watched may change while we look; the watch set first sees the change.
            let parent = folder.ancestors().skip(1).find(|ancestor| ancestor.is_dir()).map(Path::to_path_buf);
            if let Some(parent) = parent.filter(|parent| !self.is_covered(parent)) {
                self.watcher.watch(&parent, RecursiveMode::NonRecursive)?;
                self.parents.insert(parent);
            }
            if self.trees.contains_key(&folder) {
                continue;
            }
            if let Some(real) = folder.canonicalize().ok().filter(|real| real.is_dir()) {
                self.watcher.watch(&real, RecursiveMode::Recursive)?;
                self.parents.remove(&real);
                self.trees.insert(folder, real);
            }
        }
        Ok(())
    }

    /// Whether `folder` is watched already, alone or as part of a tree. A second watch would replace the first.
    fn is_covered(&self, folder: &Path) -> bool {
        self.parents.contains(folder)
            || self.folders.iter().any(|other| folder.starts_with(other) && self.trees.contains_key(other))
    }
}
