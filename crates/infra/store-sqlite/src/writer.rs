//! The one task that writes, and the queue in front of it.

mod queue;
pub(crate) mod steps;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use loom_store::Error;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use crate::connect::{self, Settings};
use crate::directory::Directory;
use crate::error::{Failure, unavailable};
use queue::Shared;
pub(crate) use queue::{Queue, Write};
use steps::StepJob;

/// Jobs committed together at most, so that the first of them does not wait for ever.
const MOST_JOBS: usize = 512;

/// Something to write.
pub(crate) enum Job {
    /// A step of a turn. Those that stand together are written together.
    Step(Box<StepJob>),
    /// Anything else.
    Other(Box<dyn Pending>),
    /// Bounds the database's size, in bytes.
    LimitSize(u64, oneshot::Sender<Result<(), Error>>),
    /// Finish and end.
    Close,
}

impl Job {
    fn adds_messages(&self) -> bool {
        matches!(self, Self::Step(step) if step.adds_messages())
    }
}

/// A [`Write`] with its reply slot.
pub(crate) trait Pending: Send {
    /// Writes it within the open transaction, and keeps the reply until that is committed.
    fn write<'a>(&'a mut self, connection: &'a mut SqliteConnection) -> BoxFuture<'a, Result<(), Failure>>;

    /// Tells the caller that it is durable, or why it is not.
    fn settle(self: Box<Self>, committed: Result<(), Error>);
}

/// Writes what comes through the queue.
pub(crate) struct Writer {
    jobs: mpsc::UnboundedReceiver<Job>,
    connection: Option<SqliteConnection>,
    directory: Directory,
    shared: Arc<Shared>,
    /// Counts the commits that added messages; gone when the writer is.
    messages: watch::Sender<u64>,
    settings: Settings,
    size_limit: Option<u64>,
}

impl Writer {
    /// A writer on `connection`, and the queue to it. It keeps the directory until it ends.
    pub(crate) fn new(
        connection: SqliteConnection,
        settings: Settings,
        directory: Directory,
    ) -> (Queue, Self) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (messages, news) = watch::channel(0);
        let writer = Self {
            jobs,
            connection: Some(connection),
            settings,
            directory,
            shared: Arc::clone(&shared),
            messages,
            size_limit: None,
        };
        (Queue::new(sender, shared, news), writer)
    }

    /// Commits what is queued, again and again, until told to close or nobody is left to write.
    pub(crate) async fn run(mut self) -> Directory {
        let mut received = Vec::new();
        let mut open = true;
        while open && self.jobs.recv_many(&mut received, MOST_JOBS).await > 0 {
            let mut batch = Vec::with_capacity(received.len());
            for job in received.drain(..) {
                match job {
                    Job::Close => open = false,
                    Job::LimitSize(bytes, reply) => {
                        self.size_limit = Some(bytes);
                        // Whoever asked may have gone.
                        let _ = reply.send(self.apply_size_limit().await);
                    }
                    job => batch.push(job),
                }
            }
            self.commit(batch).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        self.directory
    }

    /// Commits a batch and answers every caller. A job that is refused takes the others down with it only in the first
    /// try: then each gets a transaction of its own.
    async fn commit(&mut self, mut batch: Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        match self.transaction(&mut batch).await {
            Err(Failure::Refused(_)) if batch.len() > 1 => {
                for job in batch {
                    let mut alone = vec![job];
                    let outcome = self.transaction(&mut alone).await;
                    settle(alone, outcome);
                }
            }
            outcome => settle(batch, outcome),
        }
    }

    /// Writes and commits `batch`. After a failure nothing of it is stored; a connection that failed is not used again.
    async fn transaction(&mut self, batch: &mut [Job]) -> Result<(), Failure> {
        let connection = self.connected().await?;
        let outcome = write_and_commit(connection, batch).await;
        match &outcome {
            Ok(()) => {
                self.shared.committed();
                if batch.iter().any(Job::adds_messages) {
                    self.messages.send_modify(|commits| *commits += 1);
                }
            }
            Err(Failure::Refused(_)) => self.roll_back().await,
            Err(Failure::Broken(error)) => {
                // Once for each outage: while it lasts, it is tried again each second.
                if self.shared.healthy.swap(false, Ordering::AcqRel) {
                    tracing::error!(%error, "the database cannot write; its connection is opened anew");
                }
                self.reopen().await;
            }
        }
        outcome
    }

    async fn connected(&mut self) -> Result<&mut SqliteConnection, Failure> {
        if self.connection.is_none() {
            let connection = connect::writer(&self.settings).await?;
            self.connection = Some(connection);
            self.apply_size_limit().await.map_err(Failure::Broken)?;
        }
        self.connection.as_mut().ok_or_else(|| Failure::Broken(crate::error::closed()))
    }

    async fn roll_back(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = sqlx::query("ROLLBACK").execute(connection).await
        {
            tracing::error!(%error, "a transaction could not be taken back; its connection is opened anew");
            self.reopen().await;
        }
    }

    /// Closes the connection, which takes back what it did not commit, and opens another.
    async fn reopen(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It has failed already; what closing it says adds nothing.
            let _ = connection.close_hard().await;
        }
        if let Err(Failure::Refused(error) | Failure::Broken(error)) = self.connected().await {
            tracing::error!(%error, "the database could not be opened again; the next write tries once more");
        }
    }

    async fn apply_size_limit(&mut self) -> Result<(), Error> {
        let (Some(bytes), Some(connection)) = (self.size_limit, &mut self.connection) else { return Ok(()) };
        let page_size: i64 = sqlx::query_scalar("PRAGMA page_size")
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| unavailable(&error))?;
        let pages = bytes / u64::try_from(page_size).unwrap_or(1).max(1);
        sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages.clamp(1, 4_294_967_294))))
            .execute(connection)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(())
    }
}

/// Tells every caller what became of its job.
fn settle(batch: Vec<Job>, outcome: Result<(), Failure>) {
    let outcome = outcome.map_err(|failure| match failure {
        Failure::Refused(error) | Failure::Broken(error) => error,
    });
    for job in batch {
        match job {
            Job::Step(step) => step.settle(outcome.clone()),
            Job::Other(pending) => pending.settle(outcome.clone()),
            // These are never part of a batch.
            Job::LimitSize(..) | Job::Close => {}
        }
    }
}

async fn write_and_commit(connection: &mut SqliteConnection, batch: &mut [Job]) -> Result<(), Failure> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let mut rest = batch;
    while let Some(first) = rest.first() {
        if let Job::Step(_) = first {
            let steps = rest.iter().take_while(|job| matches!(job, Job::Step(_))).count();
            let (run, after) = rest.split_at_mut(steps);
            steps::write(connection, run).await?;
            rest = after;
        } else {
            let (one, after) = rest.split_at_mut(1);
            if let [Job::Other(pending)] = one {
                pending.write(connection).await?;
            }
            rest = after;
        }
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}
