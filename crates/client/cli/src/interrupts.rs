//! Ctrl-C, passed in by whoever hears it.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Says when the user interrupts. Clones share it. One that nobody raises never interrupts.
#[derive(Clone, Debug, Default)]
pub struct Interrupts(Arc<Notify>);

impl Interrupts {
    /// Interrupts whatever waits now. What starts later is not interrupted.
    pub fn raise(&self) {
        self.0.notify_waiters();
    }

    /// Returns at the next [`raise`](Self::raise) after this call, whenever it is polled.
    pub(crate) fn raised(&self) -> Notified<'_> {
        self.0.notified()
    }
}
