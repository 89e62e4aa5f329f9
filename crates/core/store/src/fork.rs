//! A session that goes on from an earlier turn of another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use loom_base::{IdSource, MessageId, SessionId, TurnId};

use crate::{Error, NewSession};

/// Metadata with keys that begin so is Loom's own.
pub const RESERVED_METADATA: &str = "loom.";

const FROM: &str = "loom.forked_from";
const AT: &str = "loom.forked_at";
const MESSAGES: &str = "loom.forked_messages";
const MODEL: &str = "loom.model";

/// Where a forked session came from, as its metadata says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session it was made of.
    pub session: SessionId,
    /// The last turn that came with it, by the id it has there.
    pub turn: TurnId,
    /// Its messages before this sequence number came with it. Their turns have ids of their own and no journals.
    pub messages: u64,
    /// The model that answers in it, where that is another than its agent's.
    pub model: Option<String>,
}

impl Origin {
    /// The origin that `metadata` names; `None` for a session that is no fork.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            session: metadata.get(FROM)?.parse().ok()?,
            turn: metadata.get(AT)?.parse().ok()?,
            messages: metadata.get(MESSAGES)?.parse().ok()?,
            model: metadata.get(MODEL).cloned(),
        })
    }

    /// Names the origin in `metadata`, in place of one that is there.
    pub fn name_in(&self, metadata: &mut BTreeMap<String, String>) {
        metadata.insert(FROM.to_owned(), self.session.to_string());
        metadata.insert(AT.to_owned(), self.turn.to_string());
        metadata.insert(MESSAGES.to_owned(), self.messages.to_string());
        match &self.model {
            Some(model) => metadata.insert(MODEL.to_owned(), model.clone()),
            None => metadata.remove(MODEL),
        };
    }
}

/// Up to where a session is forked. Turns that have not ended are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkPoint {
    /// After the last turn that has ended.
    Latest,
    /// After so many turns, from 1.
    Turns(u32),
    /// After this turn.
    Turn(TurnId),
}

/// A fork to make.
#[derive(Clone)]
pub struct NewFork {
    /// The session to fork.
    pub from: SessionId,
    /// Up to where.
    pub at: ForkPoint,
    /// The new session. Its metadata gets the origin.
    pub session: NewSession,
    /// The model that answers in it, where that is to be another than its agent's.
    pub model: Option<String>,
    /// New ids for the copies.
    pub ids: Arc<dyn IdSource>,
}

/// A stored message, as far as a fork has to know it; in the order of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forkable {
    /// The message.
    pub message: MessageId,
    /// Its turn.
    pub turn: TurnId,
    /// Whether that turn runs.
    pub runs: bool,
}

/// A message to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The message.
    pub from: MessageId,
    /// The id of its copy.
    pub to: MessageId,
    /// The turn of its copy.
    pub turn: TurnId,
}

/// What a fork copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkPlan {
    /// The messages, in order: the first so many of the session.
    pub messages: Vec<Copied>,
    /// The metadata of the new session.
    pub metadata: BTreeMap<String, String>,
}

impl NewFork {
    /// Decides what is copied of a session with these messages. [`Error::Missing`] where it has no such turn that has ended.
    pub fn plan(&self, messages: &[Forkable]) -> Result<ForkPlan, Error> {
        let ended: Vec<_> = messages.iter().take_while(|message| !message.runs).collect();
        let mut turns: Vec<TurnId> = ended.iter().map(|message| message.turn).collect();
        turns.dedup();
        let last = match self.at {
            ForkPoint::Latest => turns.last(),
            ForkPoint::Turns(count) => {
                usize::try_from(count).ok().and_then(|count| turns.get(count.checked_sub(1)?))
            }
            ForkPoint::Turn(turn) => turns.iter().find(|found| **found == turn),
        };
        let last = *last.ok_or_else(|| self.no_such_turn(turns.len()))?;
        let end = ended.iter().rposition(|message| message.turn == last).map_or(0, |place| place + 1);
        let mut renamed = HashMap::new();
        let copy = |message: &&Forkable| Copied {
            from: message.message,
            to: MessageId::new(&*self.ids),
            turn: *renamed.entry(message.turn).or_insert_with(|| TurnId::new(&*self.ids)),
        };
        let messages: Vec<_> = ended[..end].iter().map(copy).collect();
        let mut metadata = self.session.metadata.clone();
        let (session, model) = (self.from.clone(), self.model.clone());
        Origin { session, turn: last, messages: messages.len() as u64, model }.name_in(&mut metadata);
        Ok(ForkPlan { messages, metadata })
    }

    fn no_such_turn(&self, ended: usize) -> Error {
        let wanted = match self.at {
            ForkPoint::Latest => "a turn that has ended".to_owned(),
            ForkPoint::Turns(count) => format!("turn number {count}"),
            ForkPoint::Turn(turn) => turn.to_string(),
        };
        Error::Missing {
            what: format!("{wanted} in session {} with its {ended} turns that have ended", self.from),
        }
    }
}
