//! Writes steps of turns: looks at what is stored, decides step by step, then writes all that may be written at once.

use loom_base::SessionId;
use loom_store::admission::{Admitted, Heads};
use loom_store::{Advance, Error};
use tokio::sync::oneshot;

use super::Job;
use crate::{Engine, Failure};

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

/// Writes a run of steps within the open transaction, which keeps others from their sessions. A step that may not be
/// written gets its verdict and leaves no trace; the others are written. Returns what they made of their turns and sessions.
pub(super) async fn write<E: Engine>(
    connection: &mut E::Connection,
    run: &mut [Job<E::Connection>],
) -> Result<Heads, Failure> {
    let mut jobs: Vec<&mut StepJob> = run.iter_mut().filter_map(as_step_mut).collect();
    let steps: Vec<_> = jobs.iter().map(|job| &job.step).collect();
    let mut heads = E::heads(connection, &steps).await?;
    let verdicts: Vec<_> = steps.iter().enumerate().map(|(index, step)| heads.admit(index, step)).collect();
    for (job, verdict) in jobs.iter_mut().zip(&verdicts) {
        job.verdict = verdict.as_ref().map(|_| ()).map_err(Clone::clone);
    }
    let admitted = jobs.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Ok(Admitted::Now)));
    let admitted: Vec<_> = admitted.map(|(job, _)| &job.step).collect();
    if !admitted.is_empty() {
        E::add(connection, &admitted, &heads).await?;
    }
    Ok(heads)
}

/// Takes all steps of `run` for admitted.
pub(super) fn admit_all<C>(run: &mut [Job<C>]) {
    run.iter_mut().filter_map(as_step_mut).for_each(|job| job.verdict = Ok(()));
}

/// The steps of `run`; `None` when not all of it is steps.
pub(super) fn only_steps<C>(run: &[Job<C>]) -> Option<Vec<&Advance>> {
    run.iter().map(as_step).collect()
}

fn as_step<C>(job: &Job<C>) -> Option<&Advance> {
    match job {
        Job::Step(job) => Some(&job.step),
        _ => None,
    }
}

fn as_step_mut<C>(job: &mut Job<C>) -> Option<&mut StepJob> {
    match job {
        Job::Step(step) => Some(step),
        _ => None,
    }
}
