//! The patterns: those built into the program, and those of a folder, which replace built-in ones of the same name.

mod place;
mod writing;

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use loom_patterns::{
    Change, Created, FileText, FilesError, Layer, Loaded, NewPattern, PatternFiles, Reading, Registry,
    ReloadReport, Snapshot, Source, Updates,
};

/// The largest file that is read: larger than any that a person writes.
const MAX_BYTES: u64 = 1 << 20;

/// Patterns from the program and from a folder.
pub(crate) struct PatternLibrary {
    registry: Registry,
    folder: Option<PathBuf>,
    writing: Mutex<()>,
}

impl PatternLibrary {
    /// A library that has read nothing yet; [`load`](Self::load) does.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { registry: Registry::default(), folder, writing: Mutex::default() }
    }

    /// Reads the built-in patterns and those of the folder. The search is made ready by [`prepare`](Self::prepare), or
    /// else by the first search.
    pub(crate) fn load(&self) {
        let built_in = built_in_patterns();
        let found = self.folder.as_ref().map(|folder| yaml_files(folder)).unwrap_or_default();
        let built_in = built_in.iter().map(|(file, text)| Change::built_in(file, text));
        self.apply(built_in, &found, &[], Reading::Changed);
    }

    /// Takes in the files at `changed` and drops those at `removed`; paths outside the folder are none of ours.
    pub(crate) fn take(&self, changed: &[PathBuf], removed: &[PathBuf]) -> ReloadReport {
        self.take_reading(changed, removed, Reading::Changed)
    }

    fn take_reading(&self, changed: &[PathBuf], removed: &[PathBuf], reading: Reading) -> ReloadReport {
        let report = self.apply([], changed, removed, reading);
        // Whoever reads a pattern has the new one by now, and whoever searches has not waited for it.
        self.prepare();
        report
    }

    /// Indexes the patterns there are now, unless they are indexed already.
    pub(crate) fn prepare(&self) {
        self.registry.snapshot().prepare();
    }

    fn apply(
        &self,
        first: impl IntoIterator<Item = Change>,
        changed: &[PathBuf],
        removed: &[PathBuf],
        reading: Reading,
    ) -> ReloadReport {
        let now = changed.iter().filter_map(|path| self.change(path, read(path)));
        let gone = removed.iter().filter_map(|path| self.change(path, FileText::Gone));
        let report = self.registry.apply_reading(first.into_iter().chain(now).chain(gone), reading);
        log(&report);
        report
    }

    /// Reads the files at `place` and below it again; the whole folder when there is no place.
    fn scan(&self, place: Option<&Path>, reading: Reading) -> (ReloadReport, Vec<Arc<str>>) {
        let Some(folder) = &self.folder else { return (self.registry.apply([]), Vec::new()) };
        let is_meant = |path: &Path| place.is_none_or(|place| path.starts_with(place));
        let found: Vec<_> = yaml_files(folder).into_iter().filter(|path| is_meant(path)).collect();
        let here: Vec<_> = found.iter().filter_map(|path| name_in(folder, path)).collect();
        let root = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let known = self.registry.files(Layer::Folder);
        let gone = known.into_iter().filter(|file| is_meant(&root.join(&**file)) && !here.contains(file));
        let gone: Vec<_> = gone.map(|file| root.join(&*file)).collect();
        (self.take_reading(&found, &gone, reading), here)
    }

    fn change(&self, path: &Path, text: FileText) -> Option<Change> {
        let file = name_in(self.folder.as_ref()?, path)?;
        Some(Change { layer: Layer::Folder, file, text })
    }

    fn load_at(&self, place: Option<&str>, reading: Reading) -> Result<Loaded, FilesError> {
        let Some(place) = place else {
            let (report, _) = self.scan(None, reading);
            return Ok(Loaded { report, patterns: self.registry.snapshot().iter().cloned().collect() });
        };
        let path = place::resolve(self.folder.as_deref(), place)?;
        let (mut report, files) = self.scan(Some(&path), reading);
        if files.is_empty() && path.is_file() {
            return Err(place::missing(self.folder.as_deref(), place));
        }
        report.errors.retain(|error| files.contains(&error.file));
        Ok(Loaded { report, patterns: self.registry.patterns_of(&files) })
    }
}

fn read(path: &Path) -> FileText {
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    match opened.and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)) {
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            FileText::Unreadable(format!("the file is too large: at most {MAX_BYTES} bytes are read"))
        }
        Ok(_) => FileText::Is(text.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => FileText::Gone,
        Err(error) => FileText::Unreadable(format!("the file cannot be read: {error}")),
    }
}

/// The patterns that come with Loom: each file's path in its library, and its text.
pub fn built_in_patterns() -> &'static [(&'static str, &'static str)] {
    loom_pattern_library::files()
}

/// The YAML files below `folder`, as a watched folder would find them.
pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    loom_files::files(folder, YAML)
}

/// The extensions of the files that are read.
pub(crate) const YAML: &[&str] = &["yaml", "yml"];

/// The path of a file below its folder, with `/` between folders.
pub(crate) fn name_in(folder: &Path, path: &Path) -> Option<Arc<str>> {
    let folder = std::path::absolute(folder).ok()?;
    let below = path.strip_prefix(folder).ok()?;
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    Some(parts.join("/").into())
}

#[async_trait]
impl Source for PatternLibrary {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.registry.snapshot()
    }

    async fn reload(&self) -> ReloadReport {
        self.scan(None, Reading::Changed).0
    }
}

#[async_trait]
impl PatternFiles for PatternLibrary {
    async fn load(&self, place: Option<&str>, reading: Reading) -> Result<Loaded, FilesError> {
        self.load_at(place, reading)
    }

    async fn create(&self, new: NewPattern) -> Result<Created, FilesError> {
        self.write(&new)
    }

    fn updates(&self) -> Updates {
        self.registry.updates()
    }
}

fn log(report: &ReloadReport) {
    for error in &report.errors {
        tracing::warn!(%error, "a pattern file is not used");
    }
    if !report.changed.is_empty() || !report.removed.is_empty() {
        let (changed, removed) = (report.changed.len(), report.removed.len());
        tracing::info!(patterns = report.loaded, changed, removed, "patterns loaded");
    }
}
