//! The half of an actor that does what people ask while no turn runs.

use loom_base::TurnId;

use super::Actor;
use crate::command::Command;
use crate::queue::GivenUp;
use crate::restore::Loaded;
use crate::sessions::cancelled_before_start;
use crate::{Error, close};

impl Actor {
    /// Does what is asked while no turn runs. A turn that a stop cut off is taken up first, and asked.
    pub(super) async fn obey(&mut self, loaded: &mut Option<Loaded>, command: Command) {
        self.inbox.first = Some(command);
        let ready = self.be_ready(loaded).await;
        // Gone, when the turn that was taken up has seen to it.
        let Some(command) = self.inbox.first.take() else { return };
        match (ready, command) {
            (Ok(_), Command::Attach { turn, reply }) if self.queue.find(turn).is_some() => {
                drop(reply.send(Ok(self.queue.find(turn).cloned())));
            }
            (Ok(_), Command::Cancel { turn, reply }) if self.queue.find(turn).is_some() => {
                let epoch = loaded.as_ref().map_or(0, |state| state.record.epoch);
                let given_up = match self.queue.remove(turn) {
                    Some(waiting) => waiting.give_up(&self.core, epoch, GivenUp::Cancelled).await,
                    None => Err(Error::turn_not_found(turn)),
                };
                drop(reply.send(given_up));
            }
            (Ok(_), command) => command.obey_without_turn(&self.core).await,
            (Err(error), Command::Cancel { turn, reply }) => {
                let closed = self.close(turn).await;
                if closed.is_ok()
                    && let Some(waiting) = self.queue.remove(turn)
                {
                    waiting.running.feed.cut(cancelled_before_start());
                }
                drop(reply.send(closed.map_err(|_| error)));
            }
            (Err(error), command) => command.refuse(error),
        }
    }

    /// Ends a turn that cannot be taken up.
    async fn close(&self, turn: TurnId) -> Result<(), Error> {
        let claimed = self.claim().await?;
        let journal = self.core.stores.turns.journal(turn).await?;
        match claimed.zip(journal).filter(|(_, journal)| journal.turn.end.is_none()) {
            Some(((record, _), journal)) => close::close(&self.core, &record, &journal).await,
            None => Err(Error::turn_not_found(turn)),
        }
    }
}
