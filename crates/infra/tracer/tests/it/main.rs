//! The layers in a real subscriber, of this thread only.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod embedded;
mod log;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use loom_base::{Clock, Timestamp};

/// A trace id.
const TRACE: &str = "0123456789abcdef0123456789abcdef";

/// A clock that is a microsecond later each time it is asked.
#[derive(Default)]
struct Ticks(AtomicI64);

#[async_trait]
impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, _: Duration) {}
}
