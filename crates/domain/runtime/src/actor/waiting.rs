//! The half of an actor that begins the turns that waited.

use loom_base::ErrorCode;
use tracing::Instrument;

use super::{Actor, Origin};
use crate::queue::{GivenUp, Waiting};
use crate::restore::Loaded;
use crate::{Error, TurnRequest};

impl Actor {
    /// Begins the turn that waits in front.
    pub(super) async fn begin_next(&mut self, loaded: &mut Option<Loaded>) {
        match self.be_ready(loaded).await {
            Ok(true) => {}
            Ok(false) => return self.queue.leave(&Error::session_not_found(&self.id)),
            Err(_) => return,
        }
        let Some(waiting) = self.queue.next().await else { return };
        let turn = waiting.running.turn;
        let opened = if waiting.running.cancel.is_cancelled() {
            Err(GivenUp::Cancelled)
        } else {
            self.open(loaded, turn, &waiting.request, waiting.asked_at).await.map_err(GivenUp::Refused)
        };
        let (mut state, prepared, budgets) = match opened {
            Ok(opened) => opened,
            Err(GivenUp::Refused(error)) if error.code == ErrorCode::StoreUnavailable => {
                return self.put_back(waiting, loaded, error);
            }
            Err(why) => {
                let epoch = loaded.as_ref().map_or(0, |state| state.record.epoch);
                if let Err(error) = waiting.give_up(&self.core, epoch, why).await {
                    self.be_stuck(loaded, error);
                }
                return;
            }
        };
        let span = self.span(turn, &prepared, waiting.request.detailed_trace);
        let asked = (TurnRequest::clone(&waiting.request), Origin::Queue(Box::new(waiting)));
        if Box::pin(self.run_turn(&mut state, turn, asked, (prepared, budgets))).instrument(span).await {
            *loaded = Some(state);
        }
    }

    pub(super) fn put_back(&mut self, waiting: Waiting, loaded: &mut Option<Loaded>, error: Error) {
        self.queue.put_back(waiting, &error);
        self.be_stuck(loaded, error);
    }

    /// What is stored is read again, after a while.
    pub(super) fn be_stuck(&mut self, loaded: &mut Option<Loaded>, error: Error) {
        *loaded = None;
        self.retry.after(&error);
        self.stuck = Some(error);
    }
}
