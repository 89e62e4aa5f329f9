//! How the shared writer writes to PostgreSQL.

mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use loom_base::SessionId;
use loom_store::admission::Heads;
use loom_store::{Advance, Error};
pub(crate) use loom_store_sql::Write;
use loom_store_sql::{Engine, Patience, Setback};
use sqlx::{Connection as _, PgConnection};

use crate::connect::Settings;
use crate::error::{Failure, setback, unavailable};

/// The way to the writer.
pub(crate) type Queue = loom_store_sql::Queue<PgConnection>;
/// The one task that writes.
pub(crate) type Writer = loom_store_sql::Writer<Postgres>;

/// Begins a transaction in which a statement sees what was committed before it, also where an operator has set another
/// default: after a lock is had, the next statement sees what its last holder wrote.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
/// The same for a job that has waited for locks already, in a batch: it waits just long enough for those who work.
const BEGIN_IN_HASTE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL lock_timeout = '50ms'";

/// A database on a server.
pub(crate) struct Postgres(Settings);

impl Postgres {
    /// The database of `settings`.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self(settings)
    }
}

#[async_trait]
impl Engine for Postgres {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection, Error> {
        self.0.writer().await.map_err(|error| unavailable(&error))
    }

    fn transaction_limit(&self) -> Option<Duration> {
        Some(self.0.transaction_limit())
    }

    fn setback(error: sqlx::Error) -> Setback {
        setback(&error)
    }

    async fn begin(
        connection: &mut PgConnection,
        patience: Patience,
        sessions: &BTreeSet<SessionId>,
    ) -> Result<(), Failure> {
        let begin = match patience {
            Patience::Usual => BEGIN,
            Patience::Little => BEGIN_IN_HASTE,
        };
        sqlx::raw_sql(begin).execute(&mut *connection).await?;
        lock(connection, sessions).await
    }

    async fn execute(connection: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(statement).execute(connection).await.map(drop)
    }

    async fn heads(connection: &mut PgConnection, steps: &[&Advance]) -> Result<Heads, Failure> {
        steps::read(connection, steps.iter().copied()).await
    }

    async fn add(connection: &mut PgConnection, steps: &[&Advance], heads: &Heads) -> Result<(), Failure> {
        steps::add(connection, steps, heads).await
    }

    async fn close(connection: PgConnection) -> Result<(), sqlx::Error> {
        connection.close().await
    }

    async fn discard(connection: PgConnection) {
        // The server takes back what was not committed when the connection goes; a farewell might wait for one that is silent.
        drop(connection);
    }
}

/// Locks all sessions that a batch changes, in one order, so that two processes never wait for each other's.
async fn lock(connection: &mut PgConnection, sessions: &BTreeSet<SessionId>) -> Result<(), Failure> {
    if sessions.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sessions.iter().map(SessionId::as_str).collect();
    let lock = "SELECT FROM sessions WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
    sqlx::query(lock).bind(ids).execute(connection).await?;
    Ok(())
}
