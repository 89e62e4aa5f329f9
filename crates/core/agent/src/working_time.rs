//! The time a turn may take: it runs while the turn works and stands still while it only waits for people.

use std::time::Duration;

use loom_base::{EffectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::turn::Open;
use crate::{CallState, Effect, State, Turn};

/// How long a turn has worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkingTime {
    /// Up to its latest wait for people.
    used: Duration,
    /// Since when it works; `None` while it waits for people.
    since: Option<Timestamp>,
    watched: bool,
}

impl Turn {
    /// Keeps one timer for the end of the turn's time, and moves it when the turn begins or ceases to wait for people.
    pub(crate) fn watch_time(&mut self, effects: &mut Vec<Effect>) {
        let works = !self.waits_for_people();
        if self.outcome().is_some() || (self.work.watched && self.work.since.is_some() == works) {
            return;
        }
        self.work.watched = true;
        if let Some(since) = self.work.since.take() {
            self.work.used += self.now.since(since);
        }
        self.work.since = works.then_some(self.now);
        self.stop_watching(effects);
        if let Some(due) = self.out_of_time_at() {
            let effect = self.open(Open::Deadline(due));
            effects.push(Effect::StartTimer { effect, delay: due.since(self.now) });
        }
    }

    fn stop_watching(&mut self, effects: &mut Vec<Effect>) {
        let watching = self.open.iter().find(|(_, open)| matches!(open, Open::Deadline(_)));
        if let Some(number) = watching.map(|(number, _)| *number) {
            self.open.remove(&number);
            effects.push(Effect::Cancel { effect: EffectId { turn: self.id(), number } });
        }
    }

    /// How long it has worked by now.
    pub(crate) fn worked(&self) -> Duration {
        self.work.used + self.work.since.map_or(Duration::ZERO, |since| self.now.since(since))
    }

    /// When the turn is out of time, as far as is known now; `None` while nothing says so.
    pub fn out_of_time_at(&self) -> Option<Timestamp> {
        let limits = &self.config.limits;
        let since = self.work.since;
        let worked = limits.time.zip(since).map(|(time, since)| since + time.saturating_sub(self.work.used));
        worked.into_iter().chain(limits.deadline).min()
    }

    /// Whether nothing goes on but a wait for approvals, answers or resolutions.
    pub fn waits_for_people(&self) -> bool {
        let waits = |state| {
            matches!(
                state,
                CallState::AwaitingApproval(_)
                    | CallState::AwaitingAnswer(_)
                    | CallState::AwaitingResolution(_)
            )
        };
        self.state == State::RunningTools
            && self.calls.iter().all(|call| waits(call.state) || matches!(call.state, CallState::Done(_)))
            && self.calls.iter().any(|call| waits(call.state))
    }
}
