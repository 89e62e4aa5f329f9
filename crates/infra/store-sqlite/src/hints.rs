//! Hints: there is nobody else who could give some.

use async_trait::async_trait;
use loom_store::{Error, Hint, HintStore, Hints};

/// Nobody.
pub(crate) struct Nobody;

#[async_trait]
impl HintStore for Nobody {
    async fn listen(&self) -> Result<Option<Box<dyn Hints>>, Error> {
        Ok(None)
    }

    async fn give(&self, _: Hint) -> Result<(), Error> {
        Ok(())
    }
}
