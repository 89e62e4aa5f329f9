//! Durations that were measured, and what they say together.

use std::time::Duration;

/// A set of durations. Never empty.
pub(super) struct Sample {
    sorted: Vec<Duration>,
}

impl Sample {
    /// `None` when nothing was measured.
    pub(super) fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        (!durations.is_empty()).then_some(Self { sorted: durations })
    }

    /// How many were measured.
    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The smallest that `percent` of all do not exceed (nearest rank); 100 is the largest.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        let index = rank.saturating_sub(1).min(self.sorted.len() - 1);
        self.sorted[index]
    }
}

/// `duration` in milliseconds, as tables show it.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
}
