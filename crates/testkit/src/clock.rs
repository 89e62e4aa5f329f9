//! Time that passes only when a test says so.

use std::time::Duration;

use async_trait::async_trait;
use loom_base::{Clock, Timestamp};
use tokio::sync::watch;

/// A clock that stands still until it is advanced. Sleepers wake once it is advanced past their time.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    sleepers: watch::Sender<usize>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now: watch::Sender::new(now), sleepers: watch::Sender::new(0) }
    }

    /// Moves the clock forward and wakes whoever slept until then.
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = *now + span);
    }

    /// Returns once `count` sleepers wait at the same time, so that a test can advance past them.
    pub async fn until_sleeping(&self, count: usize) {
        // The sender lives as long as `self`, so this wait cannot fail.
        let _ = self.sleepers.subscribe().wait_for(|sleepers| *sleepers >= count).await;
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_micros(1_767_225_600_000_000))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, span: Duration) {
        let mut now = self.now.subscribe();
        let wake = *now.borrow() + span;
        let _sleeper = Sleeper::new(&self.sleepers);
        let _ = now.wait_for(|now| *now >= wake).await;
    }
}

struct Sleeper<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeper<'a> {
    fn new(sleepers: &'a watch::Sender<usize>) -> Self {
        sleepers.send_modify(|count| *count += 1);
        Self(sleepers)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = Arc::new(ManualClock::default());
        let start = clock.now();
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move {
                clock.sleep(Duration::from_secs(10)).await;
                clock.now().since(start)
            }
        });
        clock.until_sleeping(1).await;
        clock.advance(Duration::from_secs(9));
        clock.advance(Duration::from_secs(2));
        assert_eq!(sleeper.await.unwrap(), Duration::from_secs(11));
        assert_eq!(*clock.sleepers.borrow(), 0);
    }

    #[tokio::test]
    async fn sleeping_for_nothing_returns_at_once() {
        ManualClock::default().sleep(Duration::ZERO).await;
    }
}
