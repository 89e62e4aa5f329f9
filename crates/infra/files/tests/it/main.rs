//! The watch on real folders. Every test waits until a state is reached, however long that takes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod folders;
mod links;
mod saves;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use loom_files::{Changes, Watch};
use tempfile::TempDir;

/// Far beyond what any machine needs: a test that gets here has failed.
const HANGS: Duration = Duration::from_mins(1);

/// A watched folder `root/watched` and everything that was reported about it.
struct Stage {
    root: TempDir,
    reports: Receiver<Changes>,
    found: BTreeSet<String>,
    watch: Watch,
}

impl Stage {
    /// Prepares `root` with `prepare` and starts watching its folder `watched`.
    fn set(prepare: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        prepare(root.path());
        let (outbox, reports) = channel();
        let (watch, found) = Watch::start([root.path().join("watched")], &["yaml", "yml"], move |changes| {
            outbox.send(changes).unwrap();
        })
        .unwrap();
        let found = found.iter().map(|path| short(root.path(), path)).collect();
        Self { root, reports, found, watch }
    }

    /// A stage whose watched folder is empty.
    fn empty() -> Self {
        Self::set(|root| std::fs::create_dir(root.join("watched")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Waits for a report that `name` changed and returns all that was reported until then.
    fn until_changed(&self, name: &str) -> Vec<String> {
        self.until(&format!("changed {name}"))
    }

    /// Waits for a report that `name` is gone and returns all that was reported until then.
    fn until_removed(&self, name: &str) -> Vec<String> {
        self.until(&format!("removed {name}"))
    }

    fn until(&self, wanted: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while !seen.iter().any(|line| line == wanted) {
            let Ok(changes) = self.reports.recv_timeout(HANGS) else {
                panic!("no report of {wanted:?}, only of {seen:?}");
            };
            let line = |what: &str, path: &PathBuf| format!("{what} {}", short(self.root.path(), path));
            seen.extend(changes.changed.iter().map(|path| line("changed", path)));
            seen.extend(changes.removed.iter().map(|path| line("removed", path)));
        }
        seen
    }
}

fn short(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}
