//! Keeps the patterns of all files, and swaps one snapshot for the next.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use loom_base::Digest;

use crate::snapshot::Entry;
use crate::updates::{Feed, Updates};
use crate::{Pattern, PatternError, Snapshot, Source, parse};
use loom_yaml::Position;

/// Where a file comes from. A pattern of a later layer replaces the one of the same name in an earlier layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Part of the program.
    BuiltIn,
    /// The user's folder.
    Folder,
}

/// Where a pattern comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Of which layer its file is.
    pub layer: Layer,
    /// Its file.
    pub file: Arc<str>,
    /// Whether the file holds other patterns too.
    pub shared: bool,
}

/// What happened to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is.
    pub layer: Layer,
    /// Its path below the patterns folder, with `/` between folders.
    pub file: Arc<str>,
    /// What it holds now.
    pub text: FileText,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileText {
    /// This text.
    Is(Arc<str>),
    /// Nothing can be said of it, for this reason. The last good version stays in use.
    Unreadable(String),
    /// Nothing: it is not there any more.
    Gone,
}

impl Change {
    /// A file that is part of the program.
    pub fn built_in(file: &str, text: &str) -> Self {
        Self { layer: Layer::BuiltIn, file: file.into(), text: FileText::Is(text.into()) }
    }
}

/// Which of the texts handed over are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Those that differ from the last ones.
    Changed,
    /// All of them.
    All,
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
    files: Mutex<Files>,
    current: ArcSwap<Snapshot>,
    feed: Feed,
}

/// All files, and what was wrong with them when they were last looked at.
#[derive(Default)]
struct Files {
    all: BTreeMap<(Layer, Arc<str>), File>,
    problems: Vec<PatternError>,
}

/// One file: the text last seen, and what was last read from it without error.
#[derive(Default)]
struct File {
    seen: Option<Digest>,
    problem: Option<PatternError>,
    good: Option<Digest>,
    patterns: Vec<Entry>,
}

impl Default for Registry {
    fn default() -> Self {
        let empty = Snapshot::new(Vec::new(), Digest::of(""));
        Self { files: Mutex::default(), current: ArcSwap::from_pointee(empty), feed: Feed::default() }
    }
}

impl Registry {
    /// A registry that holds the built-in `files`, each a path and its text, and what was wrong with them.
    pub fn with_built_in<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, ReloadReport) {
        let registry = Self::default();
        let report = registry.apply(files.into_iter().map(|(file, text)| Change::built_in(file, text)));
        (registry, report)
    }

    /// The paths of the files known in `layer`, sorted: what is no longer on disk has to be among the next changes.
    pub fn files(&self, layer: Layer) -> Vec<Arc<str>> {
        let files = self.lock();
        files.all.keys().filter(|(of, _)| *of == layer).map(|(_, file)| Arc::clone(file)).collect()
    }

    /// The patterns in use that come from those of the user's `files`, by name.
    pub fn patterns_of(&self, files: &[Arc<str>]) -> Vec<Arc<Pattern>> {
        let known = self.lock();
        let snapshot = self.current.load_full();
        let of_file = |file: &Arc<str>| known.all.get(&(Layer::Folder, Arc::clone(file)));
        let read = files.iter().filter_map(of_file).flat_map(|file| &file.patterns);
        let in_use = |pattern: &&Arc<Pattern>| {
            snapshot.get(&pattern.name).is_some_and(|used| Arc::ptr_eq(used, pattern))
        };
        let mut patterns: Vec<_> = read.map(|entry| &entry.pattern).filter(in_use).cloned().collect();
        patterns.sort_by(|a, b| a.name.cmp(&b.name));
        patterns
    }

    /// Where the pattern of that name in use comes from.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        let known = self.lock();
        let used = Arc::clone(self.current.load().get(name)?);
        known.all.iter().find_map(|((layer, file), content)| {
            let holds = content.patterns.iter().any(|entry| Arc::ptr_eq(&entry.pattern, &used));
            holds.then(|| Origin {
                layer: *layer,
                file: Arc::clone(file),
                shared: content.patterns.len() > 1,
            })
        })
    }

    /// What changes from now on, as it changes.
    pub fn updates(&self) -> Updates {
        self.feed.follow()
    }

    /// Takes in `changes`, reading only texts that differ from the last ones, and swaps the snapshot once. A file that
    /// cannot be read keeps the patterns it had, and is reported again until it is mended.
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> ReloadReport {
        self.apply_reading(changes, Reading::Changed)
    }

    /// The same, reading the texts that `reading` says.
    pub fn apply_reading(&self, changes: impl IntoIterator<Item = Change>, reading: Reading) -> ReloadReport {
        let mut files = self.lock();
        let unread = files.note(changes, reading);
        let parsed = unread.len();
        for (file, outcome) in unread.iter().zip(read_all(&unread)) {
            if let Some(known) = files.all.get_mut(&file.key) {
                known.take(file.digest, outcome);
            }
        }
        let (entries, mut errors) = merge(&files.all, &self.current.load());
        errors.extend(files.all.values().filter_map(|file| file.problem.clone()));
        errors.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        let next = Arc::new(Snapshot::new(entries, digest(&files.all)));
        let before = self.current.swap(Arc::clone(&next));
        let (changed, removed) = difference(&before, &next);
        let problems = std::mem::replace(&mut files.problems, errors.clone());
        let news = errors.iter().filter(|error| !problems.contains(error));
        // Under the lock: what is told is told in the order in which it came about.
        self.feed.tell(&before, &next, &changed, &removed, news);
        drop(files);
        ReloadReport { loaded: next.len(), parsed, changed, removed, errors }
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
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

impl Files {
    /// Notes what the files hold now, and says which texts are to be read.
    fn note(&mut self, changes: impl IntoIterator<Item = Change>, reading: Reading) -> Vec<Unread> {
        let mut unread = Vec::new();
        for Change { layer, file, text } in changes {
            let key = (layer, file);
            match text {
                FileText::Gone => drop(self.all.remove(&key)),
                FileText::Is(text) => {
                    let digest = Digest::of(&*text);
                    let known = self.all.entry(key.clone()).or_default();
                    if known.seen.replace(digest) != Some(digest) || reading == Reading::All {
                        unread.push(Unread { key, text, digest });
                    }
                }
                FileText::Unreadable(message) => {
                    let file = Arc::clone(&key.1);
                    let known = self.all.entry(key).or_default();
                    known.seen = None;
                    known.problem = Some(PatternError { file, position: Position::default(), message });
                }
            }
        }
        unread
    }
}

impl File {
    /// Takes in what was read from the text with `digest`.
    fn take(&mut self, digest: Digest, outcome: Read) {
        match outcome {
            Ok(patterns) => {
                self.patterns = patterns;
                self.good = Some(digest);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }
}

/// What a text says.
type Read = Result<Vec<Entry>, PatternError>;

/// A text to read.
struct Unread {
    key: (Layer, Arc<str>),
    text: Arc<str>,
    digest: Digest,
}

impl Unread {
    fn read(&self) -> Read {
        let (_, file) = &self.key;
        Ok(parse(file, &self.text)?.into_iter().map(Entry::new).collect())
    }
}

/// Fewer texts than this are read sooner than a thread is started.
const TEXTS_A_THREAD: usize = 8;

/// Reads many texts on all processors: that is most of a cold start.
fn read_all(texts: &[Unread]) -> Vec<Read> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(texts.len() / TEXTS_A_THREAD).max(1);
    let read = |share: &[Unread]| -> Vec<Read> { share.iter().map(Unread::read).collect() };
    let mut shares = texts.chunks(texts.len().div_ceil(threads).max(1));
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(move || read(share))).collect();
        let others =
            others.into_iter().flat_map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let mut all = read(own);
        all.extend(others);
        all
    })
}

/// One entry for each name: the last layer wins, and within a layer the file that is in use already, else the first; the
/// others there are reported.
fn merge(files: &BTreeMap<(Layer, Arc<str>), File>, in_use: &Snapshot) -> (Vec<Entry>, Vec<PatternError>) {
    let mut entries: BTreeMap<&str, (Layer, &Entry)> = BTreeMap::new();
    let mut errors = Vec::new();
    for ((layer, file), content) in files {
        for entry in &content.patterns {
            let name = entry.pattern.name.as_str();
            match entries.get(name) {
                Some((other_layer, other)) if other_layer == layer => {
                    let stays = in_use.get(name).is_some_and(|pattern| pattern.file == *file);
                    let (used, unused) = if stays { (entry, *other) } else { (*other, entry) };
                    errors.push(PatternError {
                        file: Arc::clone(&unused.pattern.file),
                        position: Position::default(),
                        message: format!(
                            "pattern `{name}` is already defined in {}; this one is not used",
                            used.pattern.file
                        ),
                    });
                    entries.insert(name, (*layer, used));
                }
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

/// The names of the patterns that are new or different in `after`, and of those that are gone.
fn difference(before: &Snapshot, after: &Snapshot) -> (Vec<String>, Vec<String>) {
    let is_same = |pattern: &&Arc<Pattern>| {
        before.get(&pattern.name).is_some_and(|old| Arc::ptr_eq(old, pattern) || old == *pattern)
    };
    let changed = after.iter().filter(|pattern| !is_same(pattern)).map(|pattern| pattern.name.clone());
    let removed = before.iter().filter(|old| after.get(&old.name).is_none()).map(|old| old.name.clone());
    (changed.collect(), removed.collect())
}

#[cfg(test)]
mod tests;
