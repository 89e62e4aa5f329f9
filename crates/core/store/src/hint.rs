//! Hints that another Loom on the same database has changed something.
//!
//! A hint may be lost and may come twice, and says nothing that is not in the store: whoever gets one reads again. All works
//! without them, later.

use async_trait::async_trait;

use crate::Error;

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Agents.
    Agents,
    /// Who owns sessions: some may have nobody who works on them.
    Owners,
    /// Any of these: some hints may have been missed.
    Anything,
}

/// Hints as they come.
#[async_trait]
pub trait Hints: Send {
    /// The next one. After an error a new listener is needed, whose first hint is [`Hint::Anything`].
    async fn next(&mut self) -> Result<Hint, Error>;
}

/// Says that something has changed, to all that share the database.
#[async_trait]
pub trait HintStore: Send + Sync {
    /// Listens; the first hint is [`Hint::Anything`], at once. `None` where nobody else can come.
    async fn listen(&self) -> Result<Option<Box<dyn Hints>>, Error>;

    /// Gives a hint to all who listen. To be called after what it is about is committed.
    async fn give(&self, hint: Hint) -> Result<(), Error>;
}
