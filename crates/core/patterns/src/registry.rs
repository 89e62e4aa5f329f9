//! Keeps the patterns of all files, and swaps one snapshot for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use loom_base::Digest;

use crate::snapshot::Indexed;
use crate::yaml::Position;
use crate::{PatternError, Snapshot, Source, parse};

/// Where a file comes from. A pattern of a later layer replaces the one of the same name in an earlier layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Part of the program.
    BuiltIn,
    /// The user's folder.
    Folder,
}

/// What happened to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is.
    pub layer: Layer,
    /// Its path below the patterns folder, with `/` between folders.
    pub file: Arc<str>,
    /// Its text now; `None` when it is gone.
    pub text: Option<Arc<str>>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Patterns there are now.
    pub loaded: usize,
    /// Files that were read; the others had not changed.
    pub parsed: usize,
    /// Names of patterns that are new or different, sorted.
    pub changed: Vec<String>,
    /// Names of patterns that are gone, sorted.
    pub removed: Vec<String>,
    /// What is wrong, by file. The last good version of a broken file stays in use.
    pub errors: Vec<PatternError>,
}

/// The patterns of all files, as one snapshot that readers take without waiting.
pub struct Registry {
    files: Mutex<BTreeMap<(Layer, Arc<str>), File>>,
    current: ArcSwap<Snapshot>,
}

/// One file: the text last seen, and what was last read from it without error.
#[derive(Default)]
struct File {
    seen: Option<Digest>,
    problem: Option<PatternError>,
    good: Option<Digest>,
    patterns: Vec<Indexed>,
}

impl Default for Registry {
    fn default() -> Self {
        let empty = Snapshot::new(Vec::new(), Digest::of(""));
        Self { files: Mutex::default(), current: ArcSwap::from_pointee(empty) }
    }
}

impl Registry {
    /// A registry that holds the built-in `files`, each a path and its text, and what was wrong with them.
    pub fn with_built_in<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, ReloadReport) {
        let registry = Self::default();
        let changes = files.into_iter().map(|(file, text)| Change {
            layer: Layer::BuiltIn,
            file: file.into(),
            text: Some(text.into()),
        });
        let report = registry.apply(changes);
        (registry, report)
    }

    /// The paths of the files known in `layer`, sorted: what is no longer on disk has to be among the next changes.
    pub fn files(&self, layer: Layer) -> Vec<Arc<str>> {
        let files = self.lock();
        files.keys().filter(|(of, _)| *of == layer).map(|(_, file)| Arc::clone(file)).collect()
    }

    /// Takes in `changes`, reading only texts that differ from the last ones, and swaps the snapshot once. A file that
    /// cannot be read keeps the patterns it had, and is reported again until it is mended.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> ReloadReport {
        let mut files = self.lock();
        let mut parsed = 0;
        for change in changes {
            let key = (change.layer, Arc::clone(&change.file));
            match change.text {
                None => {
                    files.remove(&key);
                }
                Some(text) => {
                    parsed += usize::from(files.entry(key).or_default().update(&change.file, &text));
                }
            }
        }
        let (entries, mut errors) = merge(&files);
        errors.extend(files.values().filter_map(|file| file.problem.clone()));
        errors.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        let next = Arc::new(Snapshot::new(entries, digest(&files)));
        let before = self.current.swap(Arc::clone(&next));
        drop(files);
        let (changed, removed) = difference(&before, &next);
        ReloadReport { loaded: next.len(), parsed, changed, removed, errors }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Layer, Arc<str>), File>> {
        // Nothing done under the lock leaves the map half changed, so a panic elsewhere does not spoil it.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for Registry {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    async fn reload(&self) -> ReloadReport {
        self.apply([])
    }
}

impl File {
    /// Takes in a text; says whether it had to be read.
    fn update(&mut self, file: &str, text: &str) -> bool {
        let digest = Digest::of(text);
        if self.seen == Some(digest) {
            return false;
        }
        self.seen = Some(digest);
        match parse(file, text) {
            Ok(patterns) => {
                self.patterns = patterns.into_iter().map(Indexed::new).collect();
                self.good = Some(digest);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem),
        }
        true
    }
}

/// One entry for each name: the last layer wins, and within a layer the first file; the others there are reported.
fn merge(files: &BTreeMap<(Layer, Arc<str>), File>) -> (Vec<Indexed>, Vec<PatternError>) {
    let mut entries: BTreeMap<&str, (Layer, &Indexed)> = BTreeMap::new();
    let mut errors = Vec::new();
    for ((layer, file), content) in files {
        for entry in &content.patterns {
            let name = entry.pattern.name.as_str();
            match entries.get(name) {
                Some((other_layer, other)) if other_layer == layer => errors.push(PatternError {
                    file: Arc::clone(file),
                    position: Position::default(),
                    message: format!(
                        "pattern `{name}` is already defined in {}; this one is not used",
                        other.pattern.file
                    ),
                }),
                Some(_) | None => {
                    entries.insert(name, (*layer, entry));
                }
            }
        }
    }
    (entries.into_values().map(|(_, entry)| entry.clone()).collect(), errors)
}

/// The digest of the texts in use.
fn digest(files: &BTreeMap<(Layer, Arc<str>), File>) -> Digest {
    let in_use = files.iter().filter_map(|((layer, file), content)| {
        content.good.map(|good| format!("{layer:?} {file:?} {good}\n"))
    });
    Digest::of(in_use.collect::<String>())
}

fn difference(before: &Snapshot, after: &Snapshot) -> (Vec<String>, Vec<String>) {
    let names =
        |snapshot: &Snapshot| -> BTreeSet<String> { snapshot.iter().map(|p| p.name.clone()).collect() };
    let removed = names(before).difference(&names(after)).cloned().collect();
    let same =
        |name: &str, pattern| before.get(name).is_some_and(|old| Arc::ptr_eq(old, pattern) || old == pattern);
    let changed = after.iter().filter(|p| !same(&p.name, p)).map(|p| p.name.clone()).collect();
    (changed, removed)
}

#[cfg(test)]
mod tests;
