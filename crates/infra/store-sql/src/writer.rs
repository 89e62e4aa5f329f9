//! The one task that writes, and the queue in front of it.

mod known;
mod queue;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use loom_base::{FailPoint, SessionId};
use loom_store::Error;
use loom_store::admission::Heads;
use loom_telemetry::Metrics;
use tokio::sync::{mpsc, watch};

use crate::{Engine, Failure, Patience, Setback, silent};
pub use known::Touched;
use known::{Known, Written};
use queue::Shared;
pub use queue::{Queue, Write};
use steps::StepJob;

/// Jobs committed together at most, so that the first of them does not wait for ever.
const MOST_JOBS: usize = 512;
/// How often a transaction is tried that others got in the way of, or that lost its connection.
const TRIES: u32 = 3;

/// Something to write on a connection `C`.
enum Job<C> {
    /// A step of a turn. Those that stand together are written together.
    Step(Box<StepJob>),
    /// Anything else.
    Other(Box<dyn Pending<C>>),
    /// What cannot be part of a transaction.
    Apart(Box<dyn Pending<C>>),
    /// Finish and end.
    Close,
}

impl<C> Job<C> {
    fn adds_messages(&self) -> bool {
        matches!(self, Self::Step(step) if step.adds_messages())
    }

    /// The session that it changes.
    fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Step(step) => Some(step.session()),
            Self::Other(pending) => pending.session(),
            Self::Apart(_) | Self::Close => None,
        }
    }
}

/// A [`Write`] with its reply slot.
trait Pending<C>: Send {
    /// Writes it within the open transaction, and keeps the reply until that is committed.
    fn write<'a>(&'a mut self, connection: &'a mut C) -> BoxFuture<'a, Result<Touched, Failure>>;

    /// The session that it changes.
    fn session(&self) -> Option<&SessionId>;

    /// Tells the caller that it is durable, or why it is not.
    fn settle(self: Box<Self>, committed: Result<(), Error>);
}

/// Writes what comes through the queue.
pub struct Writer<E: Engine> {
    engine: E,
    jobs: mpsc::UnboundedReceiver<Job<E::Connection>>,
    connection: Option<E::Connection>,
    known: Known,
    shared: Arc<Shared>,
    /// Counts the commits that added messages; gone when the writer is.
    messages: watch::Sender<u64>,
}

impl<E: Engine> Writer<E> {
    /// A writer on `connection`, and the queue to it. It keeps the engine until it ends, and counts its commits in `metrics`.
    pub fn new(engine: E, connection: E::Connection, metrics: Arc<Metrics>) -> (Queue<E::Connection>, Self) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(metrics));
        let (messages, news) = watch::channel(0);
        let (connection, known) = (Some(connection), Known::default());
        let writer = Self { engine, jobs, connection, known, shared: Arc::clone(&shared), messages };
        (Queue::new(sender, shared, news), writer)
    }

    /// Commits what is queued, again and again, until told to close or nobody is left to write.
    pub async fn run(mut self) -> E {
        let mut received = Vec::new();
        let mut open = true;
        while open && self.receive(&mut received).await {
            let mut batch = Vec::with_capacity(received.len());
            for job in received.drain(..) {
                match job {
                    Job::Close => open = false,
                    Job::Apart(pending) => {
                        self.commit(std::mem::take(&mut batch)).await;
                        self.run_apart(pending).await;
                    }
                    job => batch.push(job),
                }
            }
            self.commit(batch).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = E::close(connection).await
        {
            tracing::warn!(%error, "the connection did not close cleanly");
        }
        self.engine
    }

    /// Waits for a job and takes what is queued behind it; `false` when nobody is left to write.
    async fn receive(&mut self, received: &mut Vec<Job<E::Connection>>) -> bool {
        let Some(first) = self.jobs.recv().await else { return false };
        received.push(first);
        while received.len() < MOST_JOBS
            && let Ok(next) = self.jobs.try_recv()
        {
            received.push(next);
        }
        true
    }

    /// Commits a batch and answers every caller. A job that is refused or blocked takes the others down with it only in the
    /// first try: then each gets a transaction of its own.
    async fn commit(&mut self, mut batch: Vec<Job<E::Connection>>) {
        if batch.is_empty() {
            return;
        }
        match self.persist(&mut batch, Patience::Usual).await {
            Err(Setback::Refused(_) | Setback::Contended(_)) if batch.len() > 1 => {
                self.commit_each(batch, Patience::Usual).await;
            }
            Err(Setback::Blocked(_)) if batch.len() > 1 => self.commit_each(batch, Patience::Little).await,
            outcome => settle(batch, outcome),
        }
    }

    async fn commit_each(&mut self, batch: Vec<Job<E::Connection>>, patience: Patience) {
        for job in batch {
            let mut alone = vec![job];
            let outcome = self.persist(&mut alone, patience).await;
            settle(alone, outcome);
        }
    }

    /// Writes and commits `batch`, again where a second try may do better.
    async fn persist(&mut self, batch: &mut [Job<E::Connection>], patience: Patience) -> Result<(), Setback> {
        let mut tries = 1;
        loop {
            let mut by_memory = false;
            match self.transaction(batch, patience, &mut by_memory).await {
                // What was known may not be what is stored; now nothing is known.
                Err(Setback::Refused(_)) if by_memory => {}
                Err(Setback::Contended(error) | Setback::Lost(error)) if tries < TRIES => {
                    tracing::warn!(%error, tries, "a transaction is tried again");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes and commits `batch`. After a setback nothing of it is stored, unless the setback says that nobody knows; a
    /// connection that failed is not used again. `by_memory` becomes true when steps were admitted by what is known.
    async fn transaction(
        &mut self,
        batch: &mut [Job<E::Connection>],
        patience: Patience,
        by_memory: &mut bool,
    ) -> Result<(), Setback> {
        let limit = self.engine.transaction_limit();
        let known = std::mem::take(&mut self.known);
        let outcome = match self.connected().await {
            Ok(connection) => {
                let transaction = Transaction::<E> { connection, known: &known, by_memory };
                let written = within(limit, transaction.write_and_commit(batch, patience)).await;
                // It may have committed.
                written.unwrap_or_else(|| Err(Setback::Lost(silent()).at_commit()))
            }
            // Whatever kept it from opening: it was tried just now.
            Err(error) => Err(Setback::Broken(error)),
        };
        match outcome {
            Ok(written) => {
                self.known = known;
                self.known.learn(written);
                self.shared.committed();
                if batch.iter().any(Job::adds_messages) {
                    self.messages.send_modify(|commits| *commits += 1);
                }
                Ok(())
            }
            Err(setback) => {
                self.recover(&setback, limit).await;
                Err(setback)
            }
        }
    }

    async fn recover(&mut self, setback: &Setback, limit: Option<Duration>) {
        match setback {
            Setback::Refused(_) | Setback::Contended(_) | Setback::Blocked(_) => self.roll_back(limit).await,
            Setback::Lost(error) | Setback::Broken(error) => {
                self.shared.failed(error);
                self.hang_up().await;
            }
        }
    }

    /// Runs a job between two transactions. It is not tried again.
    async fn run_apart(&mut self, mut pending: Box<dyn Pending<E::Connection>>) {
        self.known.forget();
        let outcome = match self.connected().await {
            Ok(connection) => pending.write(connection).await.map(drop).map_err(setback::<E>),
            Err(error) => Err(Setback::Broken(error)),
        };
        if let Err(Setback::Lost(error) | Setback::Broken(error)) = &outcome {
            self.shared.failed(error);
            self.hang_up().await;
        }
        pending.settle(outcome.map_err(Setback::into_error));
    }

    async fn connected(&mut self) -> Result<&mut E::Connection, Error> {
        if self.connection.is_none() {
            self.connection = Some(self.engine.connect().await?);
        }
        self.connection.as_mut().ok_or_else(crate::closed)
    }

    async fn roll_back(&mut self, limit: Option<Duration>) {
        if let Some(connection) = &mut self.connection {
            let rolled_back = within(limit, E::execute(connection, "ROLLBACK")).await;
            if !matches!(rolled_back, Some(Ok(()))) {
                tracing::error!("a transaction could not be taken back; its connection is opened anew");
                self.hang_up().await;
            }
        }
    }

    /// Gives up the connection, at which what it did not commit is taken back. The next transaction opens another.
    async fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            E::discard(connection).await;
        }
    }
}

/// What comes of `work`, or `None` when it takes longer than `limit`.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T> + Send) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// Tells every caller what became of its job.
fn settle<C>(batch: Vec<Job<C>>, outcome: Result<(), Setback>) {
    let outcome = outcome.map_err(Setback::into_error);
    for job in batch {
        match job {
            Job::Step(step) => step.settle(outcome.clone()),
            Job::Other(pending) => pending.settle(outcome.clone()),
            // They are never part of a batch.
            Job::Apart(_) | Job::Close => {}
        }
    }
}

fn setback<E: Engine>(failure: Failure) -> Setback {
    match failure {
        Failure::Refused(error) => Setback::Refused(error),
        Failure::Driver(error) => E::setback(error),
    }
}

/// One transaction, from its beginning to its commit.
struct Transaction<'a, E: Engine> {
    connection: &'a mut E::Connection,
    known: &'a Known,
    by_memory: &'a mut bool,
}

impl<E: Engine> Transaction<'_, E> {
    async fn write_and_commit(
        mut self,
        batch: &mut [Job<E::Connection>],
        patience: Patience,
    ) -> Result<Vec<Written>, Setback> {
        if let Some(steps) = steps::only_steps(batch)
            && let Some(heads) = self.known.admit(&steps)
        {
            *self.by_memory = true;
            FailPoint::WriterBeforeCommit.pass();
            let written = E::add_and_commit(self.connection, &steps, &heads).await;
            written.map_err(|failure| setback::<E>(failure).at_commit())?;
            FailPoint::WriterAfterCommit.pass();
            steps::admit_all(batch);
            return Ok(vec![Written::Steps(heads)]);
        }
        let written = self.write(batch, patience).await.map_err(setback::<E>)?;
        FailPoint::WriterBeforeCommit.pass();
        let committed = E::execute(self.connection, "COMMIT").await;
        committed.map_err(|error| E::setback(error).at_commit())?;
        FailPoint::WriterAfterCommit.pass();
        Ok(written)
    }

    async fn write(
        &mut self,
        batch: &mut [Job<E::Connection>],
        patience: Patience,
    ) -> Result<Vec<Written>, Failure> {
        let sessions: BTreeSet<SessionId> = batch.iter().filter_map(Job::session).cloned().collect();
        E::begin(self.connection, patience, &sessions).await?;
        let mut written = Vec::new();
        let mut rest = batch;
        while let Some(first) = rest.first() {
            if let Job::Step(_) = first {
                let steps = rest.iter().take_while(|job| matches!(job, Job::Step(_))).count();
                let (run, after) = rest.split_at_mut(steps);
                let heads = self.write_steps(run, &written).await?;
                written.push(Written::Steps(heads));
                rest = after;
            } else {
                let (one, after) = rest.split_at_mut(1);
                if let [Job::Other(pending)] = one {
                    written.push(Written::Other(pending.write(self.connection).await?));
                }
                rest = after;
            }
        }
        Ok(written)
    }

    /// Writes a run of steps, by what is known when nothing that this transaction has `written` changes it.
    async fn write_steps(
        &mut self,
        run: &mut [Job<E::Connection>],
        written: &[Written],
    ) -> Result<Heads, Failure> {
        if written.iter().all(Written::leaves_what_is_known)
            && let Some(steps) = steps::only_steps(run)
            && let Some(heads) = self.known.admit(&steps)
        {
            *self.by_memory = true;
            E::add(self.connection, &steps, &heads).await?;
            steps::admit_all(run);
            return Ok(heads);
        }
        steps::write::<E>(self.connection, run).await
    }
}
