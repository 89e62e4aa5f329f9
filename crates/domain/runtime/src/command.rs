//! What people ask of a session's turns, beside sending messages.

use std::sync::Arc;

use loom_agent::Resolution;
use loom_base::{Digest, EffectId, ErrorCode, TurnId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::core::Core;
use crate::{Error, Running};

/// Where the one who asked is told what came of it.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Something asked of a session.
pub(crate) enum Command {
    /// Take up the turn that a stop cut off.
    Wake {
        /// One of the places for turns that are taken up; given back once the turn is over or waits for people.
        place: Option<OwnedSemaphorePermit>,
    },
    /// Show the turn, if it runs.
    Attach { turn: TurnId, reply: Reply<Option<Running>> },
    /// Stop the turn.
    Cancel { turn: TurnId, reply: Reply<()> },
    /// Someone says what became of an unknown call.
    Resolve { effect: EffectId, said: Said, reply: Reply<()> },
    /// Someone approves a call, or refuses it.
    Decide { effect: EffectId, decision: Decision, reply: Reply<()> },
    /// The user answers a question.
    Answer { question: EffectId, text: String, reply: Reply<()> },
}

/// What someone says became of an unknown call.
#[derive(Clone, Debug)]
pub struct Said {
    /// What became of it.
    pub resolution: Resolution,
    /// Its result, for the model to read; only where it happened.
    pub result: Option<String>,
    /// Who says so.
    pub by: Arc<str>,
}

/// What someone decides about a call that waits for an approval.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether it may go ahead.
    pub approved: bool,
    /// Why, for the model to read.
    pub reason: Option<Arc<str>>,
    /// The digest of the arguments that were looked at; another than the call's is refused.
    pub arguments: Option<Digest>,
    /// Who decides.
    pub by: Arc<str>,
}

impl Command {
    /// Tells whoever asked that it cannot be done.
    pub(crate) fn refuse(self, error: Error) {
        // Whoever no longer waits for the reply does not need it.
        match self {
            Self::Wake { .. } => {}
            Self::Attach { reply, .. } => drop(reply.send(Err(error))),
            Self::Cancel { reply, .. }
            | Self::Resolve { reply, .. }
            | Self::Decide { reply, .. }
            | Self::Answer { reply, .. } => drop(reply.send(Err(error))),
        }
    }

    /// Does what can be done when the turn it is about does not run.
    pub(crate) async fn obey_without_turn(self, core: &Core) {
        // Whoever no longer waits for the reply does not need it.
        match self {
            Self::Wake { .. } => {}
            Self::Attach { reply, .. } => drop(reply.send(Ok(None))),
            Self::Cancel { turn, reply } => {
                let message = format!("{turn} is over");
                drop(reply.send(Err(Error::new(ErrorCode::TurnNotFound, message))));
            }
            Self::Resolve { effect, said, reply } => {
                let recorded = core.stores.turns.resolve(effect, said.at(core.clock.now())).await;
                drop(reply.send(recorded.map_err(|error| Error::of_resolution(effect, error))));
            }
            Self::Decide { effect, reply, .. } => {
                drop(reply.send(Err(Error::approval_not_found(effect))));
            }
            Self::Answer { question, reply, .. } => {
                drop(reply.send(Err(Error::question_not_found(question))));
            }
        }
    }

    /// The turn it is about.
    pub(crate) fn turn(&self) -> Option<TurnId> {
        match self {
            Self::Wake { .. } => None,
            Self::Attach { turn, .. } | Self::Cancel { turn, .. } => Some(*turn),
            Self::Resolve { effect: asked, .. }
            | Self::Decide { effect: asked, .. }
            | Self::Answer { question: asked, .. } => Some(asked.turn),
        }
    }
}

/// What is asked of one session, in order.
pub(crate) struct Inbox {
    /// Comes before what is in the box.
    pub(crate) first: Option<Command>,
    commands: mpsc::Receiver<Command>,
}

impl Inbox {
    pub(crate) const fn new(commands: mpsc::Receiver<Command>) -> Self {
        Self { first: None, commands }
    }

    /// The next that is asked; `None` when nothing more will be.
    pub(crate) async fn recv(&mut self) -> Option<Command> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.commands.recv().await,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.commands.is_empty()
    }

    /// Takes no more; whoever waits is told `error`.
    pub(crate) fn refuse_all(&mut self, error: &Error) {
        self.commands.close();
        if let Some(first) = self.first.take() {
            first.refuse(error.clone());
        }
        while let Ok(command) = self.commands.try_recv() {
            command.refuse(error.clone());
        }
    }
}
