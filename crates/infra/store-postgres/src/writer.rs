//! The one task that writes, and the queue in front of it.

mod queue;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use loom_base::SessionId;
use loom_store::Error;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{mpsc, watch};

use crate::connect::Settings;
use crate::error::Failure;
use queue::Shared;
pub(crate) use queue::{Queue, Write};
use steps::StepJob;

/// Jobs committed together at most, so that the first of them does not wait for ever.
const MOST_JOBS: usize = 512;
/// How often a transaction is tried that others got in the way of, or that lost its connection.
const TRIES: u32 = 3;

/// Begins a transaction in which a statement sees what was committed before it, also where an operator has set another
/// default: after a lock is had, the next statement sees what its last holder wrote.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
/// The same for a job that has waited for locks already, in a batch: it waits just long enough for those who work.
const BEGIN_IN_HASTE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL lock_timeout = '50ms'";

/// Something to write.
enum Job {
    /// A step of a turn. Those that stand together are written together.
    Step(Box<StepJob>),
    /// Anything else.
    Other(Box<dyn Pending>),
    /// Finish and end.
    Close,
}

impl Job {
    fn adds_messages(&self) -> bool {
        matches!(self, Self::Step(step) if step.adds_messages())
    }

    /// The session that it changes.
    fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Step(step) => Some(step.session()),
            Self::Other(pending) => pending.session(),
            Self::Close => None,
        }
    }
}

/// A [`Write`] with its reply slot.
trait Pending: Send {
    /// Writes it within the open transaction, and keeps the reply until that is committed.
    fn write<'a>(&'a mut self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), Failure>>;

    /// The session that it changes.
    fn session(&self) -> Option<&SessionId>;

    /// Tells the caller that it is durable, or why it is not.
    fn settle(self: Box<Self>, committed: Result<(), Error>);
}

/// Writes what comes through the queue.
pub(crate) struct Writer {
    jobs: mpsc::UnboundedReceiver<Job>,
    connection: Option<PgConnection>,
    shared: Arc<Shared>,
    /// Counts the commits that added messages; gone when the writer is.
    messages: watch::Sender<u64>,
    settings: Settings,
}

impl Writer {
    /// A writer on `connection`, and the queue to it.
    pub(crate) fn new(connection: PgConnection, settings: Settings) -> (Queue, Self) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (messages, news) = watch::channel(0);
        let writer =
            Self { jobs, connection: Some(connection), shared: Arc::clone(&shared), messages, settings };
        (Queue::new(sender, shared, news), writer)
    }

    /// Commits what is queued, again and again, until told to close or nobody is left to write.
    pub(crate) async fn run(mut self) {
        let mut received = Vec::new();
        let mut open = true;
        while open && self.jobs.recv_many(&mut received, MOST_JOBS).await > 0 {
            let mut batch = Vec::with_capacity(received.len());
            for job in received.drain(..) {
                match job {
                    Job::Close => open = false,
                    job => batch.push(job),
                }
            }
            self.commit(batch).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the connection did not close cleanly");
        }
    }

    /// Commits a batch and answers every caller. A job that is refused or blocked takes the others down with it only in the
    /// first try: then each gets a transaction of its own.
    async fn commit(&mut self, mut batch: Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        match self.persist(&mut batch, BEGIN).await {
            Err(Failure::Refused(_) | Failure::Contended(_)) if batch.len() > 1 => {
                self.commit_each(batch, BEGIN).await;
            }
            Err(Failure::Blocked(_)) if batch.len() > 1 => self.commit_each(batch, BEGIN_IN_HASTE).await,
            outcome => settle(batch, outcome),
        }
    }

    async fn commit_each(&mut self, batch: Vec<Job>, begin: &'static str) {
        for job in batch {
            let mut alone = vec![job];
            let outcome = self.persist(&mut alone, begin).await;
            settle(alone, outcome);
        }
    }

    /// Writes and commits `batch`, again where a second try may do better.
    async fn persist(&mut self, batch: &mut [Job], begin: &'static str) -> Result<(), Failure> {
        let mut tries = 1;
        loop {
            match self.transaction(batch, begin).await {
                Err(Failure::Contended(error) | Failure::Lost(error)) if tries < TRIES => {
                    tracing::warn!(%error, tries, "a transaction is tried again");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes and commits `batch`. After a failure nothing of it is stored, unless the failure says that nobody knows; a
    /// connection that failed is not used again.
    async fn transaction(&mut self, batch: &mut [Job], begin: &'static str) -> Result<(), Failure> {
        let limit = self.settings.transaction_limit();
        let outcome = match self.connected().await {
            Ok(connection) => {
                let written = tokio::time::timeout(limit, write_and_commit(connection, batch, begin)).await;
                // It may have committed.
                written.unwrap_or_else(|_| Err(Failure::Lost(crate::error::silent()).at_commit()))
            }
            Err(failure) => Err(failure),
        };
        match &outcome {
            Ok(()) => {
                self.shared.committed();
                if batch.iter().any(Job::adds_messages) {
                    self.messages.send_modify(|commits| *commits += 1);
                }
            }
            Err(Failure::Refused(_) | Failure::Contended(_) | Failure::Blocked(_)) => {
                self.roll_back(limit).await;
            }
            Err(Failure::Lost(error) | Failure::Broken(error)) => {
                tracing::error!(%error, "the database cannot write; its connection is opened anew");
                self.shared.healthy.store(false, Ordering::Release);
                self.hang_up();
            }
        }
        outcome
    }

    async fn connected(&mut self) -> Result<&mut PgConnection, Failure> {
        if self.connection.is_none() {
            let opened = self.settings.writer().await;
            // Whatever kept it from opening: it was tried just now.
            self.connection =
                Some(opened.map_err(|error| Failure::Broken(crate::error::unavailable(&error)))?);
        }
        self.connection.as_mut().ok_or_else(|| Failure::Broken(crate::error::closed()))
    }

    async fn roll_back(&mut self, limit: std::time::Duration) {
        if let Some(connection) = &mut self.connection {
            let rolled_back =
                tokio::time::timeout(limit, sqlx::raw_sql("ROLLBACK").execute(connection)).await;
            if !matches!(rolled_back, Ok(Ok(_))) {
                tracing::error!("a transaction could not be taken back; its connection is opened anew");
                self.hang_up();
            }
        }
    }

    /// Drops the connection, at which the server takes back what it did not commit. The next transaction opens another.
    fn hang_up(&mut self) {
        self.connection = None;
    }
}

/// Tells every caller what became of its job.
fn settle(batch: Vec<Job>, outcome: Result<(), Failure>) {
    let outcome = outcome.map_err(Failure::into_error);
    for job in batch {
        match job {
            Job::Step(step) => step.settle(outcome.clone()),
            Job::Other(pending) => pending.settle(outcome.clone()),
            // It is never part of a batch.
            Job::Close => {}
        }
    }
}

async fn write_and_commit(
    connection: &mut PgConnection,
    batch: &mut [Job],
    begin: &'static str,
) -> Result<(), Failure> {
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let sessions: BTreeSet<SessionId> = batch.iter().filter_map(Job::session).cloned().collect();
    lock(connection, &sessions).await?;
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
    sqlx::raw_sql("COMMIT").execute(connection).await.map_err(|error| Failure::from(error).at_commit())?;
    Ok(())
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
