//! The waits before a lost turn is looked for again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);
/// With them a server has over half a minute to come back.
const MOST: u32 = 10;

/// The waits after failures that follow each other: each twice as long as the one before, up to a bound, and not for ever.
#[derive(Debug, Default)]
pub(crate) struct Pauses(u32);

impl Pauses {
    /// The next wait, and not less than the server `told`; `None` when there were enough.
    pub(crate) fn next(&mut self, told: Option<Duration>) -> Option<Duration> {
        if self.0 == MOST {
            return None;
        }
        let pause = FIRST * 2_u32.pow(self.0);
        self.0 += 1;
        Some(pause.max(told.unwrap_or_default()).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_end() {
        let mut pauses = Pauses::default();
        let waits: Vec<_> = std::iter::from_fn(|| pauses.next(None)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000, 5000]);
    }

    #[test]
    fn the_server_is_heeded_within_the_bound() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(Some(Duration::from_secs(3))), Some(Duration::from_secs(3)));
        assert_eq!(pauses.next(Some(Duration::from_hours(1))), Some(LONGEST));
    }
}
