//! Which events are worth a look, and which files somebody is still writing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, Event, EventKind, ModifyKind};

/// Whether this system says when a writer closes a file. Elsewhere a pause has to do.
const SAYS_WHEN_CLOSED: bool = cfg!(target_os = "linux");

/// The files that were opened for writing and not closed yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    files: BTreeSet<PathBuf>,
}

impl Pending {
    /// Takes note of `event` and says whether it may have completed a change.
    pub(crate) fn note(&mut self, event: &Event) -> bool {
        if event.need_rescan() {
            // Events were lost, the closing ones maybe among them.
            self.files.clear();
            return true;
        }
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => self.begin(event),
            EventKind::Create(CreateKind::File) if event.paths.iter().all(|path| is_fresh(path)) => {
                self.begin(event)
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Any | ModifyKind::Other) => {
                self.forget(event);
                true
            }
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
            EventKind::Any | EventKind::Other => true,
        }
    }

    /// Whether somebody is still writing the file at `path`.
    pub(crate) fn is_open(&self, path: &Path) -> bool {
        self.files.contains(path)
    }

    fn begin(&mut self, event: &Event) -> bool {
        if SAYS_WHEN_CLOSED {
            self.files.extend(event.paths.iter().cloned());
        }
        !SAYS_WHEN_CLOSED
    }

    /// The paths of the event, and all under them, begin anew.
    fn forget(&mut self, event: &Event) {
        for path in &event.paths {
            self.files.retain(|file| !file.starts_with(path));
        }
    }
}

/// Whether the file was made by opening it for writing, so that a closing event will come: neither a link to
/// another nor a second name for one.
fn is_fresh(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && names(&metadata) == 1)
}

#[cfg(unix)]
fn names(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn names(_: &std::fs::Metadata) -> u64 {
    1
}
