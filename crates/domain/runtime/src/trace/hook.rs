//! The spans of hooks.

use std::collections::BTreeMap;
use std::sync::Arc;

use loom_agent::{Effect, Event, EventKind, HookOutcome, HookPoint, HookSaid};
use loom_base::Timestamp;
use loom_store::Journal;

use super::{Span, TraceSpan, attributes};

/// The runs of hooks that are out, by the number of their effect.
#[derive(Default)]
pub(super) struct Runs(BTreeMap<u32, Run>);

struct Run {
    started_at: Timestamp,
    point: HookPoint,
    name: Arc<str>,
}

impl Runs {
    /// Notes a run that `effect` starts, if it does.
    pub(super) fn open(&mut self, effect: Effect, at: Timestamp) {
        if let Effect::RunHook { effect, point, hook } = effect {
            self.0.insert(effect.number, Run { started_at: at, point, name: hook.name });
        }
    }

    /// The span of the run that `event` ends.
    pub(super) fn close(&mut self, journal: &Journal, event: &Event) -> Option<TraceSpan> {
        let EventKind::HookDone { effect, said, .. } = &event.kind else { return None };
        let run = self.0.remove(effect)?;
        let (outcome, status) = match said.as_ref().map(|said| said.outcome) {
            None => ("continued", "ok"),
            Some(outcome @ HookOutcome::Annotated) => (outcome.as_str(), "ok"),
            Some(outcome) => (outcome.as_str(), "error"),
        };
        Some(run.span(journal, *effect, event.at, (outcome, status), said.as_ref()))
    }

    /// The spans of runs that nothing ended: the turn ended first, or they go on.
    pub(super) fn cut_off(self, journal: &Journal) -> Vec<TraceSpan> {
        let last = journal.events.last().map_or_else(Timestamp::default, |event| event.at);
        let unfinished = ("unfinished", "unset");
        let span = |(effect, run): (u32, Run)| run.span(journal, effect, last, unfinished, None);
        self.0.into_iter().map(span).collect()
    }
}

impl Run {
    fn span(
        self,
        journal: &Journal,
        effect: u32,
        ended_at: Timestamp,
        (outcome, status): (&str, &'static str),
        said: Option<&HookSaid>,
    ) -> TraceSpan {
        let mut facts = attributes([
            ("loom.hook.name", self.name.to_string()),
            ("loom.hook.point", self.point.as_str().to_owned()),
            ("loom.hook.outcome", outcome.to_owned()),
        ]);
        facts.extend(said.map(|said| ("loom.hook.said".to_owned(), said.text.to_string())));
        let span = Span { number: effect, started_at: self.started_at, ended_at, status };
        span.of(journal, format!("run_hook {}", self.name), facts)
    }
}
