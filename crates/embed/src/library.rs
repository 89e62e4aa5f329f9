//! The patterns: those built into the program, and those of a folder, which replace built-in ones of the same name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use loom_patterns::{Change, Layer, Registry, ReloadReport, Snapshot, Source};

/// Patterns from the program and from a folder.
pub(crate) struct PatternLibrary {
    registry: Registry,
    folder: Option<PathBuf>,
}

impl PatternLibrary {
    /// A library that has read nothing yet; [`load`](Self::load) does.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { registry: Registry::default(), folder }
    }

    /// Reads the built-in patterns and those of the folder. The search is made ready by [`prepare`](Self::prepare), or
    /// else by the first search.
    pub(crate) fn load(&self) {
        let built_in = loom_pattern_library::files();
        let found = self.folder.as_ref().map(|folder| yaml_files(folder)).unwrap_or_default();
        self.apply(built_in.iter().map(|(file, text)| Change::built_in(file, text)), &found, &[]);
    }

    /// Takes in the files at `changed` and drops those at `removed`; paths outside the folder are none of ours.
    pub(crate) fn take(&self, changed: &[PathBuf], removed: &[PathBuf]) -> ReloadReport {
        let report = self.apply([], changed, removed);
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
    ) -> ReloadReport {
        let now = changed.iter().map(|path| (path, std::fs::read_to_string(path)));
        let changes = now.filter_map(|(path, text)| match text {
            Ok(text) => self.change(path, Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.change(path, None),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a pattern file cannot be read");
                None
            }
        });
        let gone = removed.iter().filter_map(|path| self.change(path, None));
        let report = self.registry.apply(first.into_iter().chain(changes).chain(gone));
        log(&report);
        report
    }

    /// Reads the whole folder again.
    pub(crate) fn scan(&self) -> ReloadReport {
        let Some(folder) = &self.folder else { return self.registry.apply([]) };
        let found = loom_files::files(folder, YAML);
        let here: Vec<_> = found.iter().filter_map(|path| name_in(folder, path)).collect();
        let gone = self.registry.files(Layer::Folder).into_iter().filter(|known| !here.contains(known));
        let gone: Vec<_> = gone.map(|file| folder.join(&*file)).collect();
        self.take(&found, &gone)
    }

    fn change(&self, path: &Path, text: Option<String>) -> Option<Change> {
        let file = name_in(self.folder.as_ref()?, path)?;
        Some(Change { layer: Layer::Folder, file, text: text.map(Arc::from) })
    }
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
        self.scan()
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
