//! What everybody in a run shares: where the server is, how far the run is, and what was seen of it from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Servers that share a database at most.
pub(super) const MOST_SERVERS: usize = 2;

/// Where the servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) phase: Phase,
    /// The port of each server that lives and is not held up.
    pub(super) ports: [Option<u16>; MOST_SERVERS],
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
    /// What turns cost in nano-dollars, as clients were told.
    pub(super) costs: BTreeMap<String, i64>,
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
    /// Keeps what a turn cost; another sum than the one told before is a violation.
    pub(super) fn cost(&mut self, turn: &str, nanos: i64) {
        if let Some(before) = self.costs.insert(turn.to_owned(), nanos)
            && before != nanos
        {
            self.violations.push(format!("{turn} cost {before} nano-dollars, then {nanos}"));
        }
    }

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
    /// Requests so far: each goes to the next server.
    requests: Arc<AtomicUsize>,
}

impl World {
    /// A world without a server, and the way to change it.
    pub(super) fn new() -> (watch::Sender<Now>, Self) {
        let (sender, now) = watch::channel(Now { phase: Phase::Load, ports: [None; MOST_SERVERS], life: 0 });
        (sender, Self { now, seen: Arc::default(), requests: Arc::default() })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // What was seen is whole after each statement, whoever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Now {
        *self.now.borrow()
    }

    /// The port of a living server, one after the other; `None` once everything is over.
    pub(super) async fn port(&mut self) -> Option<u16> {
        let is_there = |now: &Now| now.ports.iter().any(Option::is_some) || now.phase == Phase::Over;
        let now = *self.now.wait_for(is_there).await.ok()?;
        let living: Vec<_> = now.ports.into_iter().flatten().collect();
        if now.phase == Phase::Over || living.is_empty() {
            return None;
        }
        Some(living[self.requests.fetch_add(1, Ordering::Relaxed) % living.len()])
    }
}
