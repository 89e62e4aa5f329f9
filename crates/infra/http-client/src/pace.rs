//! Bounds every wait by the caller's deadline and by how long a service may be silent.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, Either};
use loom_base::{Clock, Deadline};

use crate::Error;

pub(crate) struct Pace {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) host: String,
    pub(crate) silence: Duration,
    pub(crate) deadline: Option<Deadline>,
}

impl Pace {
    /// The output of `work`, unless the bound comes first. Work that is ready wins.
    pub(crate) async fn bound<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let left = self.deadline.map(|deadline| deadline.since(self.clock.now()));
        let (wait, late) = match left {
            Some(left) if left <= self.silence => (left, Error::Deadline { host: self.host.clone() }),
            _ => (self.silence, Error::Silent { host: self.host.clone(), waited: self.silence }),
        };
        let (work, pause) = (std::pin::pin!(work), self.clock.sleep(wait));
        match future::select(work, pause).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(late),
        }
    }
}
