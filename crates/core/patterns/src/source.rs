//! Where those who use patterns get them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{ReloadReport, Snapshot};

/// A place that patterns come from, which may change while it is used.
#[async_trait]
pub trait Source: Send + Sync {
    /// The patterns as they are now. Take it once for a piece of work, so that the work sees one state.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Reads again what may have changed, and says what did. A source that nothing stands behind has nothing to read
    /// and says what it holds.
    async fn reload(&self) -> ReloadReport;
}
