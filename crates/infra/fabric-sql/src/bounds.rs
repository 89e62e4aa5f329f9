//! How long a piece of engine work may go on.

use std::time::Duration;

use futures::future::BoxFuture;
use loom_base::Clock;
use loom_fabric::BackendErrorKind;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How long an engine that was told to stop may take to do so before its connection is thrown away.
const GRACE: Duration = Duration::from_secs(2);

/// A time limit and a cancellation over several steps.
pub struct Bounds<'a> {
    clock: &'a dyn Clock,
    limit: Duration,
    timer: BoxFuture<'a, ()>,
    cancel: CancellationToken,
}

/// Why work was cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interrupt {
    TimedOut(Duration),
    Cancelled,
}

impl<'a> Bounds<'a> {
    /// Starts the time of `limit` now.
    pub(crate) fn start(clock: &'a dyn Clock, limit: Duration, cancel: CancellationToken) -> Self {
        Self { clock, limit, timer: clock.sleep(limit), cancel }
    }

    /// The whole time given.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for `work` as long as the bounds allow. The work is dropped on an interrupt; stopping the engine is the
    /// caller's task.
    pub(crate) async fn run<F: Future>(&mut self, work: F) -> Result<F::Output, Interrupt> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupt::Cancelled),
            () = &mut self.timer => Err(Interrupt::TimedOut(self.limit)),
            output = work => Ok(output),
        }
    }

    /// Waits for `cleanup`, which is not subject to the bounds, but no longer than a short while. `None`: it did not
    /// end.
    pub(crate) async fn grace<F: Future>(&mut self, cleanup: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = cleanup => Some(output),
            () = self.clock.sleep(GRACE) => None,
        }
    }
}

impl From<Interrupt> for Failure {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::TimedOut(limit) => Self::new(
                BackendErrorKind::TimedOut,
                format!("the query was stopped after {limit:?}; narrow it or raise its time limit"),
            ),
            Interrupt::Cancelled => Self::new(BackendErrorKind::Cancelled, "the query was cancelled"),
        }
    }
}
