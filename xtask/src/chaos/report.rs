//! The table at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use loom_base::FailPoint;

use super::facts::Facts;
use super::recorder::Recorded;
use super::world::{Ending, Seen};

/// How often the server died, and of what.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    pub(super) at_random: usize,
    pub(super) at_points: BTreeMap<FailPoint, usize>,
    /// Servers that were asked to stop, and did.
    pub(super) stopped: usize,
    /// Servers that were held up until another took over, went on, and were killed.
    pub(super) frozen: usize,
    /// How often the database server died, which is not counted among the kills.
    pub(super) databases: usize,
    /// Servers that did not come to their fail point in time, and were killed at random instead.
    pub(super) missed: usize,
}

impl Deaths {
    pub(super) fn count(&self) -> usize {
        self.at_random + self.stopped + self.frozen + self.at_points.values().sum::<usize>()
    }

    /// Those of one more server.
    pub(super) fn add(&mut self, other: Self) {
        self.at_random += other.at_random;
        self.stopped += other.stopped;
        self.frozen += other.frozen;
        self.databases += other.databases;
        self.missed += other.missed;
        for (point, count) in other.at_points {
            *self.at_points.entry(point).or_default() += count;
        }
    }
}

/// What is printed of a run.
pub(super) struct Report<'a> {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) deaths: &'a Deaths,
    pub(super) seen: &'a Seen,
    pub(super) facts: &'a Facts,
    pub(super) recorded: &'a [Recorded],
    pub(super) resumed: usize,
    pub(super) violations: &'a [String],
}

impl Report<'_> {
    fn rows(&self) -> Vec<(String, String)> {
        let row = |what: &str, count: usize| (what.to_owned(), count.to_string());
        let (seen, turns) = (self.seen, &self.facts.turns);
        let outcome = |wanted: &str| turns.values().filter(|turn| turn.outcome == wanted).count();
        let acknowledged: BTreeSet<_> =
            seen.attempts.iter().filter_map(|attempt| attempt.turn.as_ref()).collect();
        let completed = seen.endings.values().filter(|end| matches!(end, Ending::Completed(_))).count();
        let mut rows = vec![row("kills", self.deaths.count()), row("  at random", self.deaths.at_random)];
        let points = FailPoint::ALL.iter();
        rows.extend(points.map(|point| {
            row(&format!("  at {point}"), self.deaths.at_points.get(point).copied().unwrap_or(0))
        }));
        rows.extend([
            row("  asked to stop", self.deaths.stopped),
            row("  held up beyond the lease, let go, then killed", self.deaths.frozen),
            row("kills of the database server", self.deaths.databases),
            row("fail points not reached in time (killed at random)", self.deaths.missed),
            row("messages sent", seen.attempts.len()),
            row("  under a key", seen.attempts.iter().filter(|attempt| attempt.key.is_some()).count()),
            row("sessions", self.facts.sessions.len()),
            row("turns accepted", turns.len()),
            row("  acknowledged to a client", acknowledged.len()),
            row("  completed before its eyes", completed),
            row("  finished", outcome("finished")),
            row("  failed", outcome("failed")),
            row("  cancelled", outcome("cancelled")),
            row("  taken up after a kill", self.resumed),
            row("  quarantined, then cancelled", seen.quarantined.len()),
            row("streams taken up again", seen.reattached),
        ]);
        for class in ["pure", "idempotent", "unsafe"] {
            let calls = self.recorded.iter().filter(|call| call.class == class);
            let effects: BTreeSet<_> = calls.clone().map(|call| &call.effect).collect();
            let text = format!("{} in {} attempts", effects.len(), calls.count());
            rows.push((format!("effects, {class}"), text));
        }
        rows.extend([
            row("unknown effects listed", seen.unknown.len()),
            row("  said to have happened", seen.happened.len()),
            row("  said not to have happened", seen.not_happened.len()),
            row("  given up", seen.given_up.len()),
            row("approvals given", seen.approved),
            row("approvals refused", seen.refused),
            row("violations", self.violations.len()),
        ]);
        rows
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        for (what, count) in rows {
            writeln!(f, "{what:width$}  {count}")?;
        }
        write!(f, "seed {}, {} s", self.seed, self.took.as_secs())
    }
}
