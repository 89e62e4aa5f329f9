//! When the server dies: half of the times at any moment, half of the times at a fail point, each in its turn.

use std::fmt;
use std::time::Duration;

use loom_base::FailPoint;

use super::dice::Dice;

/// One death of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// So long after it was ready.
    After(Duration),
    /// At a fail point.
    At(Place),
}

/// A passage of a fail point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) point: FailPoint,
    /// The so-many-th since the start.
    passage: u64,
    /// How long it is held up before the server dies: what should wait for it, and does not, then happens.
    hold: Duration,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.point, self.passage, self.hold.as_millis())
    }
}

/// The first `kills` deaths that `seed` decides, of servers that need `silence` until they go on with what was cut off.
pub(super) fn kills(seed: u64, kills: usize, silence: Duration) -> Vec<Kill> {
    let mut dice = Dice::of(seed, "kills");
    let mut points = FailPoint::ALL.iter().copied().cycle();
    let mut plan = Vec::with_capacity(kills);
    while plan.len() < kills {
        let point = if plan.len() % 2 == 1 { points.next() } else { None };
        plan.push(match point {
            Some(point) => Kill::At(place(point, &mut dice)),
            None => Kill::After(dice.millis(20..1_500) + silence),
        });
    }
    plan
}

/// A passage that a start with some load comes to.
fn place(point: FailPoint, dice: &mut Dice) -> Place {
    let most = match point {
        // Once for each turn that a stop cut off; the next start does it again.
        FailPoint::RecoverAfterClaim => 20,
        FailPoint::AskedAfterCommit => 6,
        FailPoint::AcceptBeforeCommit
        | FailPoint::AcceptAfterCommit
        | FailPoint::IntentAfterCommit
        | FailPoint::FinishBeforeCommit
        | FailPoint::FinishAfterCommit => 24,
        FailPoint::LlmAfterAnswer
        | FailPoint::ToolBeforeCall
        | FailPoint::ToolAfterCall
        | FailPoint::WriterBeforeCommit
        | FailPoint::WriterAfterCommit => 100,
    };
    let passage = dice.within(1..most + 1);
    let hold = if dice.percent(50) { dice.millis(10..60) } else { Duration::ZERO };
    Place { point, passage, hold }
}
