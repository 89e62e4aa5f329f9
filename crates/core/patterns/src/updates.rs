//! Tells whoever listens what changes among the patterns, without ever waiting for one who is slow.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::{Pattern, PatternError, Snapshot};

/// How many updates a listener may be behind; beyond it the oldest are gone for that listener, who is told so.
const BACKLOG: usize = 1_024;

/// What became of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// It is new.
    Created,
    /// It is different.
    Modified,
    /// It is gone.
    Deleted,
    /// Its file was changed and cannot be used; the version before stays in use.
    Refused,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// What happened.
    pub kind: UpdateKind,
    /// The pattern's name; of a refused file, the name of its only pattern so far, else the file's without its extension.
    pub name: String,
    /// The pattern as it is, or as it was last; `None` of a file that was never good.
    pub pattern: Option<Arc<Pattern>>,
    /// The file that was changed, below the patterns folder.
    pub file: Arc<str>,
    /// What is wrong with a refused file.
    pub problem: Option<PatternError>,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// This changed.
    Update(Arc<Update>),
    /// The listener was too slow, and this many updates are lost to it.
    Missed(u64),
}

/// Where updates are told.
pub(crate) struct Feed(broadcast::Sender<Arc<Update>>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Feed {
    pub(crate) fn follow(&self) -> Updates {
        Updates(self.0.subscribe())
    }

    /// Tells what is `changed` and `removed` between two snapshots, and what is newly wrong with files.
    pub(crate) fn tell<'a>(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        changed: &[String],
        removed: &[String],
        problems: impl Iterator<Item = &'a PatternError>,
    ) {
        if self.0.receiver_count() == 0 {
            return;
        }
        for name in changed {
            let kind = if before.get(name).is_some() { UpdateKind::Modified } else { UpdateKind::Created };
            self.tell_of(kind, after.get(name));
        }
        for name in removed {
            self.tell_of(UpdateKind::Deleted, before.get(name));
        }
        for problem in problems {
            self.send(refused(problem, after));
        }
    }

    fn tell_of(&self, kind: UpdateKind, pattern: Option<&Arc<Pattern>>) {
        let Some(pattern) = pattern else { return };
        self.send(Update {
            kind,
            name: pattern.name.clone(),
            file: Arc::clone(&pattern.file),
            pattern: Some(Arc::clone(pattern)),
            problem: None,
        });
    }

    fn send(&self, update: Update) {
        // An error means that the last listener has just gone.
        drop(self.0.send(Arc::new(update)));
    }
}

fn refused(problem: &PatternError, patterns: &Snapshot) -> Update {
    let mut of_file = patterns.iter().filter(|pattern| pattern.file == problem.file);
    let pattern = of_file.next().filter(|_| of_file.next().is_none()).cloned();
    let name =
        pattern.as_ref().map_or_else(|| stem(&problem.file).to_owned(), |pattern| pattern.name.clone());
    Update {
        kind: UpdateKind::Refused,
        name,
        pattern,
        file: Arc::clone(&problem.file),
        problem: Some(problem.clone()),
    }
}

fn stem(file: &str) -> &str {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Hears what changes, from the moment it was made.
pub struct Updates(broadcast::Receiver<Arc<Update>>);

impl Updates {
    /// The next update, once there is one; `None` once there will be no more.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(update) => Some(Heard::Update(update)),
            Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, FileText, Layer, Registry};

    fn file(name: &str, text: &str) -> Change {
        Change { layer: Layer::Folder, file: name.into(), text: FileText::Is(text.into()) }
    }

    async fn heard(updates: &mut Updates) -> (UpdateKind, String) {
        match updates.next().await {
            Some(Heard::Update(update)) => (update.kind, update.name.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_change_is_told_once_and_in_order() {
        let registry = Registry::default();
        registry.apply([file("x/before.yaml", "name: before")]);
        let mut updates = registry.updates();
        registry.apply([file("x/a.yaml", "name: a")]);
        registry.apply([file("x/a.yaml", "name: a\ntitle: A")]);
        registry.apply([file("x/a.yaml", "name: a\ntitle: A")]);
        registry.apply([file("x/a.yaml", "nam: a")]);
        registry.apply([file("x/a.yaml", "nam: a")]);
        registry.apply([file("x/never.yaml", "nam: n")]);
        registry.apply([file("x/twice.yaml", "name: before")]);
        let gone = |name: &str| Change { layer: Layer::Folder, file: name.into(), text: FileText::Gone };
        registry.apply([gone("x/a.yaml")]);
        for (kind, name) in [
            (UpdateKind::Created, "a"),
            (UpdateKind::Modified, "a"),
            (UpdateKind::Refused, "a"),
            (UpdateKind::Refused, "never"),
            (UpdateKind::Refused, "twice"),
            (UpdateKind::Deleted, "a"),
        ] {
            assert_eq!(heard(&mut updates).await, (kind, name.to_owned()));
        }
        drop(registry);
        assert_eq!(updates.next().await, None);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_is_lost() {
        let registry = Registry::default();
        let mut updates = registry.updates();
        for number in 0..BACKLOG + 10 {
            registry.apply([file("x/a.yaml", &format!("name: a\ntitle: '{number}'"))]);
        }
        assert_eq!(updates.next().await, Some(Heard::Missed(10)));
        assert_eq!(heard(&mut updates).await.0, UpdateKind::Modified);
    }
}
