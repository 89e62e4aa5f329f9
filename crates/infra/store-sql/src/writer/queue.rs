//! The way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures::future::BoxFuture;
use loom_base::SessionId;
use loom_store::{Advance, Error, Receipt};
use loom_telemetry::Metrics;
use tokio::sync::{mpsc, oneshot, watch};

use super::steps::StepJob;
use super::{Job, Pending, Touched};
use crate::{Failure, closed};

/// A change, other than a step of a turn, that happens in one transaction.
#[async_trait]
pub trait Write<C: Send>: Send + Sync + 'static {
    /// What the caller gets.
    type Reply: Send + 'static;

    /// Writes it. An inner error is the caller's answer and has written nothing; an outer one takes the transaction
    /// back. May be called again after that.
    async fn write(&self, connection: &mut C) -> Result<Result<Self::Reply, Error>, Failure>;

    /// The session that it changes, to be locked before anything of the transaction is written.
    fn session(&self) -> Option<&SessionId> {
        None
    }

    /// What it has changed when the caller gets `reply`.
    fn touched(&self, _reply: &Self::Reply) -> Touched {
        Touched::Anything
    }
}

/// What the writer and everyone else know of the writer.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether the last transaction could be written.
    healthy: AtomicBool,
    commits: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Shared {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { healthy: AtomicBool::new(true), commits: AtomicU64::new(0), metrics }
    }

    pub(super) fn committed(&self) {
        self.healthy.store(true, Ordering::Release);
        self.commits.fetch_add(1, Ordering::AcqRel);
        self.metrics.store_commits.add([], 1);
    }

    pub(super) fn failed(&self, error: &Error) {
        // Once for each outage: while it lasts, it is tried again each second.
        if self.healthy.swap(false, Ordering::AcqRel) {
            tracing::error!(%error, "the database cannot write; its connection is opened anew");
        }
    }
}

/// Hands jobs to the writer. They are written in the order they are handed in.
pub struct Queue<C> {
    sender: mpsc::UnboundedSender<Job<C>>,
    shared: Arc<Shared>,
    messages: watch::Receiver<u64>,
}

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
            messages: self.messages.clone(),
        }
    }
}

impl<C: Send + 'static> Queue<C> {
    pub(super) const fn new(
        sender: mpsc::UnboundedSender<Job<C>>,
        shared: Arc<Shared>,
        messages: watch::Receiver<u64>,
    ) -> Self {
        Self { sender, shared, messages }
    }

    /// Queues a step at once; the receipt resolves after its commit.
    pub fn advance(&self, step: Advance) -> Receipt {
        let (job, receipt) = StepJob::new(step);
        let sent = self.sender.send(Job::Step(Box::new(job)));
        Box::pin(async move {
            sent.map_err(|_| closed())?;
            receipt.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    /// Queues a write and waits for its commit.
    pub async fn write<W: Write<C>>(&self, write: W) -> Result<W::Reply, Error> {
        self.send(write, Job::Other).await
    }

    /// Queues what the database does outside of transactions, and waits for its end. Whatever is queued behind it waits
    /// too.
    pub async fn write_apart<W: Write<C>>(&self, write: W) -> Result<W::Reply, Error> {
        self.send(write, Job::Apart).await
    }

    async fn send<W: Write<C>>(
        &self,
        write: W,
        job: impl FnOnce(Box<dyn Pending<C>>) -> Job<C>,
    ) -> Result<W::Reply, Error> {
        let (reply, answer) = oneshot::channel();
        let slot = Slot { write, answer: None, reply };
        self.sender.send(job(Box::new(slot))).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Asks the writer to end after what is queued.
    pub fn close(&self) {
        // A writer that has ended already needs no asking.
        let _ = self.sender.send(Job::Close);
    }

    /// Changes when messages are committed, and ends with the writer.
    pub fn messages(&self) -> watch::Receiver<u64> {
        self.messages.clone()
    }

    /// Whether the last transaction could be written.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Acquire)
    }

    /// Says that the database may be gone: until the next commit it is not healthy.
    pub fn doubt(&self, error: &Error) {
        self.shared.failed(error);
    }

    /// Transactions committed so far.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Acquire)
    }
}

struct Slot<C: Send, W: Write<C>> {
    write: W,
    answer: Option<Result<W::Reply, Error>>,
    reply: oneshot::Sender<Result<W::Reply, Error>>,
}

impl<C: Send, W: Write<C>> Pending<C> for Slot<C, W> {
    fn write<'a>(&'a mut self, connection: &'a mut C) -> BoxFuture<'a, Result<Touched, Failure>> {
        Box::pin(async move {
            let answer = self.write.write(connection).await?;
            let touched = answer.as_ref().map_or(Touched::Nothing, |reply| self.write.touched(reply));
            self.answer = Some(answer);
            Ok(touched)
        })
    }

    fn session(&self) -> Option<&SessionId> {
        self.write.session()
    }

    fn settle(self: Box<Self>, committed: Result<(), Error>) {
        let answer = match (committed, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(closed()),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have gone; the write stands.
        let _ = self.reply.send(answer);
    }
}
