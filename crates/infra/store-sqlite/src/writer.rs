//! How the shared writer writes to SQLite.

mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use loom_base::SessionId;
use loom_store::admission::Heads;
use loom_store::{Advance, Error};
use loom_store_sql::{Engine, Patience, Setback};
pub(crate) use loom_store_sql::{Touched, Write};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::connect::{self, Settings};
use crate::directory::Directory;
use crate::error::{Failure, setback, unavailable};
use steps::Extent;

/// The way to the writer.
pub(crate) type Queue = loom_store_sql::Queue<SqliteConnection>;
/// The one task that writes.
pub(crate) type Writer = loom_store_sql::Writer<Sqlite>;

/// Pages that a database has at most, which is what SQLite says itself.
const MOST_PAGES: u64 = 4_294_967_294;

/// A database in a directory that is ours for as long as this lives.
pub(crate) struct Sqlite {
    settings: Settings,
    size_limit: Arc<SizeLimit>,
    _directory: Directory,
}

impl Sqlite {
    /// The database of `settings`, bounded by `size_limit`.
    pub(crate) const fn new(settings: Settings, size_limit: Arc<SizeLimit>, directory: Directory) -> Self {
        Self { settings, size_limit, _directory: directory }
    }
}

#[async_trait]
impl Engine for Sqlite {
    type Connection = SqliteConnection;

    async fn connect(&self) -> Result<SqliteConnection, Error> {
        let opened = async {
            let mut connection = connect::writer(&self.settings).await?;
            self.size_limit.apply(&mut connection).await?;
            Ok(connection)
        };
        opened.await.map_err(|error| unavailable(&error))
    }

    fn transaction_limit(&self) -> Option<Duration> {
        // It is a file, not a network: a disk that is slow is waited for.
        None
    }

    fn setback(error: sqlx::Error) -> Setback {
        setback(&error)
    }

    async fn begin(
        connection: &mut SqliteConnection,
        _patience: Patience,
        _sessions: &BTreeSet<SessionId>,
    ) -> Result<(), Failure> {
        // Locks the whole database, which nobody but us has open for long.
        sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
        Ok(())
    }

    async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(statement).execute(connection).await.map(drop)
    }

    async fn heads(connection: &mut SqliteConnection, steps: &[&Advance]) -> Result<Heads, Failure> {
        steps::read(connection, steps.iter().copied()).await
    }

    async fn add(
        connection: &mut SqliteConnection,
        steps: &[&Advance],
        heads: &Heads,
    ) -> Result<(), Failure> {
        steps::add(connection, steps, heads, Extent::Within).await
    }

    async fn add_and_commit(
        connection: &mut SqliteConnection,
        steps: &[&Advance],
        heads: &Heads,
    ) -> Result<(), Failure> {
        steps::add(connection, steps, heads, Extent::Whole).await
    }

    async fn close(connection: SqliteConnection) -> Result<(), sqlx::Error> {
        connection.close().await
    }

    async fn discard(connection: SqliteConnection) {
        // It has failed already; what closing it says adds nothing.
        let _ = connection.close_hard().await;
    }
}

/// How large the database may grow, in bytes. Each connection has to be told.
pub(crate) struct SizeLimit(AtomicU64);

impl Default for SizeLimit {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl SizeLimit {
    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let bytes = self.0.load(Ordering::Acquire);
        let page_size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
        let pages = bytes / u64::try_from(page_size).unwrap_or(1).max(1);
        let limit = format!("PRAGMA max_page_count = {}", pages.clamp(1, MOST_PAGES));
        sqlx::query(AssertSqlSafe(limit)).execute(connection).await.map(drop)
    }
}

/// Changes the size limit, also that of the open connection.
pub(crate) struct LimitSize {
    /// The limit.
    pub(crate) limit: Arc<SizeLimit>,
    /// What it becomes.
    pub(crate) bytes: u64,
}

#[async_trait]
impl Write<SqliteConnection> for LimitSize {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        self.limit.0.store(self.bytes, Ordering::Release);
        self.limit.apply(connection).await?;
        Ok(Ok(()))
    }

    fn touched(&self, _reply: &()) -> Touched {
        Touched::Nothing
    }
}
