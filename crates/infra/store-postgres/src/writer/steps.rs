//! Writes steps of turns: looks at what is stored, decides step by step, then writes all that may be written at once.
//!
//! A batch costs two statements, however many steps it has: the rows travel as one array for each column.

mod heads;
mod rows;
mod statement;

use loom_base::SessionId;
use loom_store::admission::Admitted;
use loom_store::{Advance, Error};
use sqlx::PgConnection;
use tokio::sync::oneshot;

use super::Job;
use crate::error::Failure;
use rows::Rows;

/// A step and the one who waits for it.
pub(super) struct StepJob {
    step: Advance,
    verdict: Result<(), Error>,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl StepJob {
    /// The job, and what resolves once it is durable.
    pub(super) fn new(step: Advance) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (reply, receipt) = oneshot::channel();
        (Self { step, verdict: Ok(()), reply }, receipt)
    }

    /// Whether it has added messages.
    pub(super) fn adds_messages(&self) -> bool {
        self.verdict.is_ok() && !self.step.messages.is_empty()
    }

    /// Its session.
    pub(super) const fn session(&self) -> &SessionId {
        &self.step.session
    }

    /// Tells the caller what became of the step, once its transaction has ended.
    pub(super) fn settle(self, committed: Result<(), Error>) {
        // Whoever asked may have gone; the step stands.
        let _ = self.reply.send(committed.and(self.verdict));
    }
}

/// Writes a run of steps within the open transaction, which has their sessions locked. A step that may not be written gets
/// its verdict and leaves no trace; the others are written.
pub(super) async fn write(connection: &mut PgConnection, run: &mut [Job]) -> Result<(), Failure> {
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
        rows.add(&job.step)?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    rows.add_heads(&heads)?;
    let found: i64 = rows.query().fetch_one(connection).await?;
    if usize::try_from(found).ok() != Some(rows.changed_calls()) {
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
