//! When the server dies: half of the times at any moment, half of the times at a fail point, each in its turn. Some of the
//! first are asked to stop instead; where there is another server, some are held up for so long that it takes over.

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
    /// So long after it was ready it is asked to stop.
    Stop(Duration),
    /// It is held up, then goes on for a while as if nothing had been, then dies.
    Freeze {
        /// So long after it was ready.
        after: Duration,
        /// So long, which is more than it may be silent.
        span: Duration,
        /// So long it goes on.
        then: Duration,
    },
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

/// The first `kills` deaths that `seed` decides, of servers that need `silence` until they go on with what was cut off, and
/// that may be alone.
pub(super) fn kills(seed: u64, kills: usize, silence: Duration, is_alone: bool) -> Vec<Kill> {
    let mut dice = Dice::of(seed, "kills");
    let mut points = FailPoint::ALL.iter().copied().cycle();
    let mut plan = Vec::with_capacity(kills);
    while plan.len() < kills {
        let point = if plan.len() % 2 == 1 { points.next() } else { None };
        plan.push(match point {
            Some(point) => Kill::At(place(point, &mut dice)),
            None => anywhere(&mut dice, silence, is_alone),
        });
    }
    plan
}

/// A death at any moment, most often soon: a life is short, so that there are many, and some turns outlive several. Half of
/// the servers live long enough to take up what the one before them left.
fn anywhere(dice: &mut Dice, silence: Duration, is_alone: bool) -> Kill {
    let span = match dice.within(0..100) {
        0..70 => 50..300,
        70..95 => 300..800,
        _ => 800..1_500,
    };
    let silence_too = if dice.percent(50) { silence } else { Duration::ZERO };
    let after = dice.millis(span) + silence_too;
    match dice.within(0..100) {
        0..8 => Kill::Stop(after),
        8..33 if !is_alone => {
            let span = silence + dice.millis(300..2_000);
            Kill::Freeze { after, span, then: dice.millis(100..1_500) }
        }
        _ => Kill::After(after),
    }
}

/// A passage that a start with some load comes to.
fn place(point: FailPoint, dice: &mut Dice) -> Place {
    let most = match point {
        FailPoint::AskedAfterCommit => 3,
        FailPoint::RecoverAfterClaim
        | FailPoint::AcceptBeforeCommit
        | FailPoint::AcceptAfterCommit
        | FailPoint::IntentAfterCommit
        | FailPoint::FinishBeforeCommit
        | FailPoint::FinishAfterCommit => 8,
        FailPoint::LlmAfterAnswer
        | FailPoint::ToolBeforeCall
        | FailPoint::ToolAfterCall
        | FailPoint::WriterBeforeCommit
        | FailPoint::WriterAfterCommit => 40,
    };
    let passage = dice.within(1..most + 1);
    let hold = if dice.percent(50) { dice.millis(10..60) } else { Duration::ZERO };
    Place { point, passage, hold }
}
