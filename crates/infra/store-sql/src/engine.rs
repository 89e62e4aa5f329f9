//! What differs between databases.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use loom_base::SessionId;
use loom_store::admission::Heads;
use loom_store::{Advance, Error};

use crate::{Failure, Setback};

/// How long a transaction waits for locks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as the store was told.
    Usual,
    /// Hardly: its jobs have waited already, in a batch.
    Little,
}

/// A database that a [`Writer`](crate::Writer) writes to.
#[async_trait]
pub trait Engine: Send + Sync + Sized + 'static {
    /// A connection to it.
    type Connection: Send + 'static;

    /// Opens the connection that writes. A commit on it is on disk when it returns.
    async fn connect(&self) -> Result<Self::Connection, Error>;

    /// How long a transaction may take before the database is taken for lost; `None` where it cannot be.
    fn transaction_limit(&self) -> Option<Duration>;

    /// What a driver's error means for what was being written.
    fn setback(error: sqlx::Error) -> Setback;

    /// Begins a transaction that is about to change these sessions, and keeps others from changing them.
    async fn begin(
        connection: &mut Self::Connection,
        patience: Patience,
        sessions: &BTreeSet<SessionId>,
    ) -> Result<(), Failure>;

    /// Runs a statement without parameters or rows.
    async fn execute(connection: &mut Self::Connection, statement: &'static str) -> Result<(), sqlx::Error>;

    /// What is stored of the turns and sessions of `steps`. Where a change by others leaves a trace, the heads say in which
    /// version of the database they were read: then they are remembered, and the next step on them is written without
    /// reading.
    async fn heads(connection: &mut Self::Connection, steps: &[&Advance]) -> Result<Heads, Failure>;

    /// Writes `steps`, of which there is at least one, and what they make of the `heads`. Fails when the database is no
    /// longer in the version that these have.
    async fn add(connection: &mut Self::Connection, steps: &[&Advance], heads: &Heads)
    -> Result<(), Failure>;

    /// Does the same as a transaction of its own: begins, writes and commits.
    async fn add_and_commit(
        connection: &mut Self::Connection,
        steps: &[&Advance],
        heads: &Heads,
    ) -> Result<(), Failure> {
        let sessions = steps.iter().map(|step| step.session.clone()).collect();
        Self::begin(connection, Patience::Usual, &sessions).await?;
        Self::add(connection, steps, heads).await?;
        Ok(Self::execute(connection, "COMMIT").await?)
    }

    /// Says goodbye on a connection that is no longer needed.
    async fn close(connection: Self::Connection) -> Result<(), sqlx::Error>;

    /// Gives up a connection that has failed, with the locks that it holds.
    async fn discard(connection: Self::Connection);
}
