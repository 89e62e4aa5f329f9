//! Writes steps of turns: looks at what is stored, decides step by step, then writes all that may be written at once.
//!
//! A batch costs two statements, however many steps it has: the rows travel as JSON arrays.

mod heads;
mod rows;

use futures::TryStreamExt as _;
use loom_store::admission::Admitted;
use loom_store::{Advance, Error};
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use crate::error::Failure;
use crate::writer::Job;
use rows::Rows;

/// A step and the one who waits for it.
pub(crate) struct StepJob {
    step: Advance,
    verdict: Result<(), Error>,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl StepJob {
    /// The job, and what resolves once it is durable.
    pub(crate) fn new(step: Advance) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (reply, receipt) = oneshot::channel();
        (Self { step, verdict: Ok(()), reply }, receipt)
    }

    /// Whether it has added messages.
    pub(crate) fn adds_messages(&self) -> bool {
        self.verdict.is_ok() && !self.step.messages.is_empty()
    }

    /// Tells the caller what became of the step, once its transaction has ended.
    pub(crate) fn settle(self, committed: Result<(), Error>) {
        // Whoever asked may have gone; the step stands.
        let _ = self.reply.send(committed.and(self.verdict));
    }
}

/// Writes a run of steps within the open transaction. A step that may not be written gets its verdict and leaves no
/// trace; the others are written.
pub(crate) async fn write(connection: &mut SqliteConnection, run: &mut [Job]) -> Result<(), Failure> {
    let mut jobs: Vec<&mut StepJob> = run.iter_mut().filter_map(as_step).collect();
    let mut heads = heads::read(connection, jobs.iter().map(|job| &job.step)).await?;
    let verdicts: Vec<_> =
        jobs.iter().enumerate().map(|(index, job)| heads.admit(index, &job.step)).collect();
    for (job, verdict) in jobs.iter_mut().zip(&verdicts) {
        job.verdict = verdict.as_ref().map(|_| ()).map_err(Clone::clone);
    }
    let admitted = jobs.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Ok(Admitted::Now)));
    let mut rows = Rows::default();
    for (job, _) in admitted {
        rows.add(&job.step);
    }
    if rows.is_empty() {
        return Ok(());
    }
    rows.add_heads(&heads);
    let changed_calls = rows.changed_calls();
    let found: Vec<_> = rows.query()?.fetch(connection).try_collect().await?;
    if found.len() != changed_calls {
        return Err(Failure::Refused(Error::Missing { what: "a tool call that changes".to_owned() }));
    }
    Ok(())
}

fn as_step(job: &mut Job) -> Option<&mut StepJob> {
    match job {
        Job::Step(step) => Some(step),
        _ => None,
    }
}
