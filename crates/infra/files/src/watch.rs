//! The watch: a thread that waits for events, lets them settle, and reports what differs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use loom_base::ErrorCode;
use notify::{Config, Event, RecommendedWatcher, Watcher as _};

use crate::anchor::Anchors;
use crate::pending::Pending;
use crate::scan::{Snapshot, Wanted};

/// A save is often several steps; this long after the last of them it counts as one.
const WINDOW: Duration = Duration::from_millis(10);

/// So many events are reported at last, although the next keeps following within the window.
const MAX_EVENTS: usize = 1_000;

/// What happened since the last report. Never empty; the paths are in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that are new or have a new content.
    pub changed: Vec<PathBuf>,
    /// Files that are gone.
    pub removed: Vec<PathBuf>,
}

/// Why folders cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be made absolute.
    #[error("{} is not a usable path", path.display())]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system sets no watch: usually it allows too few of them.
    #[error("cannot watch folders")]
    Watch(#[from] notify::Error),
    /// The system gives no thread.
    #[error("cannot start the watching thread")]
    Thread(#[source] std::io::Error),
}

impl Error {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

enum Message {
    Happened(notify::Result<Event>),
    Stop,
}

/// Watches until it is dropped.
pub struct Watch {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// Watches `folders`, all that is under them, for files with one of `extensions` (without the dot).
    ///
    /// Returns the files that are there now; from then on calls `on_change` from a thread of its own, 10 ms after a
    /// file was closed, renamed or removed. A folder need not exist, and may go and come back. Hidden files and
    /// folders are left out, and so are links that lead out of their folder. `on_change` must not drop the watch.
    pub fn start(
        folders: impl IntoIterator<Item = impl AsRef<Path>>,
        extensions: &'static [&'static str],
        on_change: impl FnMut(Changes) + Send + 'static,
    ) -> Result<(Self, Vec<PathBuf>), Error> {
        let folders =
            folders.into_iter().map(|folder| absolute(folder.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let (messages, inbox) = channel();
        let outbox = messages.clone();
        let handler = move |event| {
            // The receiver outlives the watcher, so this fails only while both are being dropped.
            let _ = outbox.send(Message::Happened(event));
        };
        let watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
        let mut anchors = Anchors::new(watcher, folders);
        // Watches first: what changes during the scan is then reported.
        anchors.renew()?;
        let wanted = Wanted { extensions };
        let known = Snapshot::take(anchors.folders(), &wanted);
        warn_of_links(&known, &Snapshot::default());
        let found = known.files.keys().cloned().collect();
        let mut watching = Watching { anchors, wanted, known, pending: Pending::default(), on_change };
        let thread = std::thread::Builder::new()
            .name("loom-files".into())
            .spawn(move || watching.run(&inbox))
            .map_err(Error::Thread)?;
        Ok((Self { messages, thread: Some(thread) }, found))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the callback was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// `path` from the root on, without links resolved: events come under the path that is watched.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Path { path: path.to_path_buf(), source })
}

/// What the thread works on.
struct Watching<F> {
    anchors: Anchors,
    wanted: Wanted,
    known: Snapshot,
    pending: Pending,
    on_change: F,
}

impl<F: FnMut(Changes)> Watching<F> {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Ok(Message::Happened(event)) = inbox.recv() {
            if !self.note(event) {
                continue;
            }
            for _ in 0..MAX_EVENTS {
                match inbox.recv_timeout(WINDOW) {
                    Ok(Message::Happened(event)) => {
                        self.note(event);
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.report();
        }
    }

    /// Takes note of an event and says whether it may have completed a change.
    fn note(&mut self, event: notify::Result<Event>) -> bool {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "watching a folder failed; changes in it may go unnoticed");
                return false;
            }
        };
        let Some(event) = self.anchors.locate(event) else { return false };
        self.anchors.note(&event);
        self.pending.note(&event)
    }

    /// Looks at the folders and reports how they differ from what is known.
    fn report(&mut self) {
        if let Err(error) = self.anchors.renew() {
            tracing::warn!(%error, "a folder cannot be watched; changes in it may go unnoticed");
        }
        let mut now = Snapshot::take(self.anchors.folders(), &self.wanted);
        for (path, version) in &mut now.files {
            if self.pending.is_open(path)
                && let Some(known) = self.known.files.get(path)
            {
                *version = *known;
            }
        }
        now.files.retain(|path, _| !self.pending.is_open(path) || self.known.files.contains_key(path));
        warn_of_links(&now, &self.known);
        let is_new = |path: &&PathBuf| now.files.get(*path) != self.known.files.get(*path);
        let is_gone = |path: &&PathBuf| !now.files.contains_key(*path);
        let changes = Changes {
            changed: now.files.keys().filter(is_new).cloned().collect(),
            removed: self.known.files.keys().filter(is_gone).cloned().collect(),
        };
        self.known = now;
        if changes != Changes::default() {
            (self.on_change)(changes);
        }
    }
}

/// Names the links of `now` that lead out of their folder and were not named before.
fn warn_of_links(now: &Snapshot, before: &Snapshot) {
    for link in now.refused.difference(&before.refused) {
        tracing::warn!(link = %link.display(), "a link leads out of its watched folder and is not followed");
    }
}
