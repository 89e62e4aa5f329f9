//! What the writer knows of turns and sessions because it has written them: the next step on them needs no look.
//!
//! It is used only where a change by others leaves a trace, the version of the database, which the engine compares in the
//! transaction that writes. Whatever goes wrong, all of it is forgotten and the next step looks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use loom_base::{SessionId, TurnId};
use loom_store::admission::{Admitted, Heads, SessionHead, TurnHead};
use loom_store::{Advance, Queueing};

/// What a write, other than a step, leaves of what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It may have changed any turn or session.
    Anything,
    /// It changed no epoch, no conversation and no journal.
    Nothing,
    /// It made this session, with this epoch, and changed nothing else.
    NewSession(SessionId, u64),
}

/// Sessions remembered at most; with one more, it begins anew.
const MOST_SESSIONS: usize = 4_096;

/// The heads of turns that run and of their sessions.
#[derive(Default)]
pub(super) struct Known {
    version: Option<i64>,
    turns: HashMap<TurnId, TurnHead>,
    sessions: HashMap<SessionId, SessionHead>,
}

impl Known {
    /// The heads of `steps`, moved on by all of them; `None` when one of them is not known, or may not be written.
    pub(super) fn admit(&self, steps: &[&Advance]) -> Option<Heads> {
        let mut heads = Heads::default();
        heads.version = Some(self.version?);
        for (index, step) in steps.iter().enumerate() {
            if !heads.sessions.contains_key(&step.session) {
                let session = self.sessions.get(&step.session)?;
                heads.sessions.insert(step.session.clone(), session.clone());
            }
            if let Entry::Vacant(place) = heads.turns.entry(step.turn) {
                match self.turns.get(&step.turn) {
                    Some(turn) => {
                        place.insert(turn.clone());
                    }
                    // Ids are not made twice; were it stored, its row would be refused.
                    None if step.accept.is_some() && step.queueing != Queueing::Begins => {}
                    None => return None,
                }
            }
            match heads.admit(index, step) {
                Ok(Admitted::Now) => {}
                // Told only by what is stored.
                Ok(Admitted::Before) | Err(_) => return None,
            }
        }
        Some(heads)
    }

    /// Takes what a transaction has committed, as it was `written`.
    pub(super) fn learn(&mut self, written: Vec<Written>) {
        for written in written {
            match written {
                Written::Steps(heads) => self.learn_heads(heads),
                Written::Other(Touched::Nothing) => {}
                Written::Other(Touched::Anything) => self.forget(),
                Written::Other(Touched::NewSession(id, epoch)) => {
                    self.sessions.insert(id, SessionHead::stored(epoch, 0, None));
                }
            }
        }
        if self.sessions.len() > MOST_SESSIONS {
            self.forget();
        }
    }

    fn learn_heads(&mut self, heads: Heads) {
        if heads.version.is_none() || heads.version != self.version {
            self.forget();
            self.version = heads.version;
        }
        if self.version.is_none() {
            return;
        }
        for (id, head) in heads.turns {
            if head.ended {
                self.turns.remove(&id);
            } else {
                self.turns.insert(id, head.settled());
            }
        }
        for (id, head) in heads.sessions {
            let stored = SessionHead::stored(head.epoch, head.next_message, head.unfinished);
            self.sessions.insert(id, stored);
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// A part of a transaction, for what it leaves of what is known.
pub(super) enum Written {
    /// Steps, and what they made of their turns and sessions.
    Steps(Heads),
    /// Something else.
    Other(Touched),
}

impl Written {
    /// Whether what was known before it still holds.
    pub(super) const fn leaves_what_is_known(&self) -> bool {
        matches!(self, Self::Other(Touched::Nothing | Touched::NewSession(..)))
    }
}
