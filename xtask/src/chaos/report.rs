//! The table at the end, summed over the rounds of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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

/// How often something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// So often.
    Times(usize),
    /// So many, each tried at least once.
    Attempted(usize, usize),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(count) => write!(f, "{count}"),
            Self::Attempted(effects, attempts) => write!(f, "{effects} in {attempts} attempts"),
        }
    }
}

impl Count {
    const fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Times(sum), Self::Times(count)) => *sum += count,
            (Self::Attempted(effects, attempts), Self::Attempted(more, tries)) => {
                *effects += more;
                *attempts += tries;
            }
            (Self::Times(_), Self::Attempted(..)) | (Self::Attempted(..), Self::Times(_)) => {}
        }
    }
}

/// What is printed of a run: the rows of its rounds, summed.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<(String, Count)>);

impl Table {
    /// Adds the rows of one more round.
    pub(super) fn add(&mut self, round: Self) {
        if self.0.is_empty() {
            *self = round;
            return;
        }
        for ((_, sum), (_, count)) in self.0.iter_mut().zip(round.0) {
            sum.add(count);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        for (what, count) in &self.0 {
            writeln!(f, "{what:width$}  {count}")?;
        }
        Ok(())
    }
}

/// What is known of one round.
pub(super) struct Report<'a> {
    pub(super) deaths: &'a Deaths,
    pub(super) seen: &'a Seen,
    pub(super) facts: &'a Facts,
    pub(super) recorded: &'a [Recorded],
    pub(super) resumed: usize,
    pub(super) violations: &'a [String],
}

impl Report<'_> {
    /// The rows of its table.
    pub(super) fn table(&self) -> Table {
        let row = |what: &str, count: usize| (what.to_owned(), Count::Times(count));
        let (seen, turns) = (self.seen, &self.facts.turns);
        let outcome = |wanted: &str| turns.values().filter(|turn| turn.outcome == wanted).count();
        let acknowledged: BTreeSet<_> =
            seen.attempts.iter().filter_map(|attempt| attempt.turn.as_ref()).collect();
        let estimated = turns.values().filter(|turn| turn.estimated.tokens > 0);
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
        rows.extend(
            ["pure", "idempotent", "unsafe"].map(|class| self.effects(&format!("effects, {class}"), class)),
        );
        rows.extend([
            self.effects("webhooks, idempotent", "hook-idempotent"),
            self.effects("webhooks, unsafe", "hook-unsafe"),
        ]);
        rows.extend([
            row("unknown effects listed", seen.unknown.len()),
            row("  said to have happened", seen.happened.len()),
            row("  said not to have happened", seen.not_happened.len()),
            row("  given up", seen.given_up.len()),
            row("approvals given", seen.approved),
            row("approvals refused", seen.refused),
            row("budgets compared with what turns used", self.facts.accounts.len()),
            row("turns that counted an estimate for a call cut off", estimated.count()),
            row("violations", self.violations.len()),
        ]);
        Table(rows)
    }

    /// How often effects of a class happened.
    fn effects(&self, what: &str, class: &str) -> (String, Count) {
        let calls = self.recorded.iter().filter(|call| call.class == class);
        let effects: BTreeSet<_> = calls.clone().map(|call| &call.effect).collect();
        (what.to_owned(), Count::Attempted(effects.len(), calls.count()))
    }
}
