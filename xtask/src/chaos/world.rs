//! What everybody in a run shares: where the server is, how far the run is, and what was seen of it from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients ask.
    Load,
    /// Clients end what they began.
    Settle,
    /// Nobody does anything any more.
    Over,
}

/// Where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) phase: Phase,
    /// The port of the server that lives; `None` while none does.
    pub(super) port: Option<u16>,
    /// Servers there were so far.
    pub(super) life: usize,
}

/// How a turn ended, as the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this answer.
    Completed(String),
    /// Without one.
    Failed,
}

/// A message that was sent once, under a trace of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The message, the same in each attempt.
    pub(super) query: String,
    pub(super) key: Option<String>,
    pub(super) trace: String,
    /// The turn that the client was told.
    pub(super) turn: Option<String>,
}

/// What was seen from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) attempts: Vec<Attempt>,
    pub(super) endings: BTreeMap<String, Ending>,
    /// The effects that were listed as unknown.
    pub(super) unknown: BTreeSet<String>,
    /// For each effect that someone said did not happen, the turn and the key of its call.
    pub(super) not_happened: BTreeMap<String, (String, String)>,
    pub(super) happened: BTreeSet<String>,
    pub(super) given_up: BTreeSet<String>,
    pub(super) approved: usize,
    pub(super) refused: usize,
    pub(super) quarantined: BTreeSet<String>,
    pub(super) reattached: usize,
    /// What went wrong before the eyes of a client.
    pub(super) violations: Vec<String>,
}

impl Seen {
    /// Keeps how a turn ended; an end that is not the one told before is a violation.
    pub(super) fn ended(&mut self, turn: &str, ending: Ending) {
        match self.endings.get(turn) {
            Some(before) if *before != ending => {
                self.violations.push(format!("{turn} ended twice: {before:?}, then {ending:?}"));
            }
            _ => drop(self.endings.insert(turn.to_owned(), ending)),
        }
    }
}

/// What everybody shares.
#[derive(Clone)]
pub(super) struct World {
    now: watch::Receiver<Now>,
    seen: Arc<Mutex<Seen>>,
}

impl World {
    /// A world without a server, and the way to change it.
    pub(super) fn new() -> (watch::Sender<Now>, Self) {
        let (sender, now) = watch::channel(Now { phase: Phase::Load, port: None, life: 0 });
        (sender, Self { now, seen: Arc::default() })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // What was seen is whole after each statement, whoever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Now {
        *self.now.borrow()
    }

    /// The port of a living server; `None` once everything is over.
    pub(super) async fn port(&mut self) -> Option<u16> {
        let now = self.now.wait_for(|now| now.port.is_some() || now.phase == Phase::Over).await.ok()?;
        if now.phase == Phase::Over { None } else { now.port }
    }
}
