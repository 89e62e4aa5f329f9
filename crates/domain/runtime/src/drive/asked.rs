//! The half of a drive that does what people ask while the turn runs.

use std::sync::Arc;

use loom_agent::{Call, CallState, EventKind, Resolution};
use loom_base::{EffectId, ErrorCode, FailPoint, Timestamp};
use loom_store::{ApprovalAnswer, CallChange, CallResolution};
use loom_tools::{ToolError, ToolOutput};

use super::Drive;
use crate::Error;
use crate::ask_user::Question;
use crate::command::{Command, Decision, Said};
use crate::queue::{GivenUp, Waiting};

impl Drive<'_> {
    /// Does what is asked, and says so once it is durable. An error is the turn's; the one who asked is told it too.
    pub(super) async fn obey(&mut self, command: Command) -> Result<(), Error> {
        if command.turn().is_some_and(|turn| turn != self.running.turn) {
            self.obey_for_another(command).await;
            return Ok(());
        }
        let (done, reply) = match command {
            Command::Wake { place } => {
                self.place = place;
                return Ok(());
            }
            Command::Attach { reply, .. } => {
                // Whoever no longer waits for the reply does not need it.
                drop(reply.send(Ok(Some(self.running.clone()))));
                return Ok(());
            }
            Command::Cancel { reply, .. } => (Ok(EventKind::CancelRequested), reply),
            Command::Resolve { effect, said, reply } => (self.resolve(effect, &said), reply),
            Command::Decide { effect, decision, reply } => (self.decide(effect, &decision), reply),
            Command::Answer { question, text, reply } => (self.answer(question, &text), reply),
        };
        let event = match done {
            Ok(event) => event,
            Err(refused) => {
                drop(reply.send(Err(refused)));
                return Ok(());
            }
        };
        let mut applied = self.apply(event).await;
        if applied.is_ok() {
            applied = self.wait_until_durable().await;
        }
        FailPoint::AskedAfterCommit.pass();
        drop(reply.send(applied.clone()));
        applied
    }

    /// Does what is asked of a turn that waits, or ended before it could be asked.
    async fn obey_for_another(&mut self, command: Command) {
        match command {
            Command::Attach { turn, reply } => {
                drop(reply.send(Ok(self.signals.queue.find(turn).cloned())));
            }
            Command::Cancel { turn, reply } => match self.signals.queue.remove(turn) {
                Some(waiting) => self.give_up(waiting, GivenUp::Cancelled, |done| drop(reply.send(done))),
                None => Command::Cancel { turn, reply }.obey_without_turn(self.core).await,
            },
            command => command.obey_without_turn(self.core).await,
        }
    }

    /// Ends a turn that waits, while this one goes on.
    pub(super) fn give_up(
        &self,
        waiting: Waiting,
        why: GivenUp,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let (core, epoch) = (Arc::clone(self.core), self.record.epoch);
        self.core.spawn(async move { done(waiting.give_up(&core, epoch, why).await) });
    }

    fn resolve(&mut self, effect: EffectId, said: &Said) -> Result<EventKind, Error> {
        let call = self.waiting_call(effect, |state| matches!(state, CallState::AwaitingResolution(_)));
        let call = call.ok_or_else(|| Error::effect_not_found(effect))?.request.id.clone();
        if let Some(answer) = &mut self.story.answer {
            let text = said.result.clone().unwrap_or_else(|| format!("done, as {} says", said.by));
            let data = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
            let output = match said.resolution {
                Resolution::Happened => Ok(ToolOutput::new(data)),
                Resolution::DidNotHappen | Resolution::GiveUp => {
                    Err(ToolError::failed(ErrorCode::ToolFailed, "outcome unknown"))
                }
            };
            answer.set_output(&call, output);
        }
        let resolution = said.at(self.core.clock.now());
        self.change(&call, |message, call| CallChange::Resolved { message, call, resolution });
        let by = Arc::clone(&said.by);
        Ok(EventKind::EffectResolved { effect: effect.number, resolution: said.resolution, by })
    }

    fn decide(&mut self, effect: EffectId, decision: &Decision) -> Result<EventKind, Error> {
        let call = self.waiting_call(effect, |state| matches!(state, CallState::AwaitingApproval(_)));
        let call = call.ok_or_else(|| Error::approval_not_found(effect))?;
        let at = self.core.clock.now();
        if call.approval_expires_at.is_some_and(|expiry| expiry < at) {
            let message = format!("the approval {effect} has expired; the call is refused");
            return Err(Error::new(ErrorCode::ApprovalExpired, message));
        }
        if decision.arguments.is_some_and(|digest| digest != call.request.arguments) {
            let message = format!(
                "the approval {effect} is for arguments with the digest {}; look at them again",
                call.request.arguments
            );
            return Err(Error::new(ErrorCode::ApprovalMismatch, message));
        }
        let call = call.request.id.clone();
        let by = decision.by.to_string();
        let answer = ApprovalAnswer { approved: decision.approved, by: Some(by), at };
        self.change(&call, |message, call| CallChange::ApprovalAnswered { message, call, answer });
        if decision.approved {
            if let Some(answer) = &mut self.story.answer {
                // What a call of Loom's own comes to; a tool's own result takes its place.
                answer.set_output(&call, Ok(ToolOutput::new(serde_json::json!({ "approved": true }))));
            }
            return Ok(EventKind::Approved { effect: effect.number, by: Arc::clone(&decision.by) });
        }
        let why = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        if let Some(answer) = &mut self.story.answer {
            answer.refuse(&call, format!("{} refused this call{why}", decision.by));
        }
        let (by, reason) = (Some(Arc::clone(&decision.by)), decision.reason.clone());
        Ok(EventKind::Denied { effect: effect.number, by, reason })
    }

    fn answer(&mut self, question: EffectId, text: &str) -> Result<EventKind, Error> {
        let call = self.waiting_call(question, |state| matches!(state, CallState::AwaitingAnswer(_)));
        let call = call.ok_or_else(|| Error::question_not_found(question))?.request.id.clone();
        let answer = self.story.answer.as_mut().ok_or_else(|| Error::question_not_found(question))?;
        if let Some(work) = answer.work(&call) {
            Question::of(&work.input).check(text)?;
        }
        answer.set_output(&call, Ok(ToolOutput::new(serde_json::json!({ "answer": text }))));
        Ok(EventKind::Answered { effect: question.number })
    }

    /// Nobody answered in time: the call is refused.
    pub(super) fn expire_approval(&mut self, effect: u32) -> EventKind {
        let at = self.core.clock.now();
        if let Some(call) = self.story.call_of(effect).map(|call| call.request.id.clone()) {
            let answer = ApprovalAnswer { approved: false, by: None, at };
            self.change(&call, |message, call| CallChange::ApprovalAnswered { message, call, answer });
            if let Some(answer) = &mut self.story.answer {
                answer.refuse(&call, "nobody approved this call in time".to_owned());
            }
        }
        EventKind::Denied { effect, by: None, reason: None }
    }

    /// Notes in the ledger that a call may have taken effect.
    pub(super) fn note_unknown(&mut self, effect: u32, at: Timestamp) {
        if let Some(call) = self.story.call_of(effect).map(|call| call.request.id.clone()) {
            self.change(&call, |message, call| CallChange::Unknown { message, call, at });
        }
    }

    fn waiting_call(&self, effect: EffectId, waits: impl Fn(CallState) -> bool) -> Option<&Call> {
        self.story.call_of(effect.number).filter(|call| waits(call.state))
    }
}

impl Said {
    /// What is recorded of it.
    pub(crate) fn at(&self, at: Timestamp) -> CallResolution {
        let (by, result) = (self.by.to_string(), self.result.clone());
        CallResolution { resolution: self.resolution, by, result, at }
    }
}
