//! The half of a drive that takes in what came back.

use std::time::Duration;

use loom_agent::EventKind;
use loom_base::{CallId, FailPoint, MessageId, NanoUsd};
use loom_llm::{Completion, ContentBlock, Message, Role, Usage, estimate_message};
use loom_store::CallChange;

use super::{Drive, Reply};
use crate::Error;
use crate::answer::Answer;
use crate::model_call::FailedCall;
use crate::step::Draughted;
use crate::tool_call::Ended;

impl Drive<'_> {
    /// Turns what came back into an event, keeping its content for the step.
    pub(super) async fn take(&mut self, reply: Reply) -> Result<(), Error> {
        let event = match reply {
            Reply::Model { effect, result: Ok(completion), took } => {
                FailPoint::LlmAfterAnswer.pass();
                self.take_completion(effect, completion, took)
            }
            Reply::Model { effect, result: Err(failed), took } => self.take_failure(effect, failed, took),
            Reply::Tool { effect, call, ended } => self.take_tool(effect, &call, ended),
            Reply::Hook { effect, entry, ended } => self.take_hook(effect, &entry, ended),
            Reply::Timer { effect } => EventKind::TimerFired { effect },
            Reply::ApprovalExpired { effect } => self.expire_approval(effect),
            Reply::OverBudget { effect, short } => {
                self.core.metrics.budget_refusals.add([short.scope.as_str(), short.measure.as_str()], 1);
                let (scope, measure, raise) = (short.scope, short.measure, self.ask_to_raise(effect, short));
                EventKind::BudgetExceeded { effect, scope, measure, raise }
            }
            Reply::Compacted { effect, freed } => EventKind::CompactDone { effect, freed },
        };
        self.apply(event).await
    }

    fn take_tool(&mut self, effect: u32, call: &CallId, ended: Ended) -> EventKind {
        let (event, output) = match ended {
            Ended::Known(output) => (EventKind::ToolDone { effect, succeeded: output.is_ok() }, output),
            Ended::Unknown(error) => (EventKind::ToolUnknown { effect }, Err(error)),
        };
        if let Some(answer) = &mut self.story.answer {
            answer.set_output(call, output);
        }
        event
    }

    fn take_completion(&mut self, effect: u32, mut completion: Completion, took: Duration) -> EventKind {
        let estimated = completion.usage == Usage::default();
        if estimated {
            completion.usage = self.estimated_usage(&completion.content);
        }
        let model = &self.prepared.model;
        let cost = model.info.prices.map_or(NanoUsd::ZERO, |prices| prices.cost(&completion.usage));
        self.core.count_model_call(&model.provider_name, &model.name, "ok", completion.usage, cost, took);
        let message = MessageId::new(&*self.core.ids);
        let permissions = &self.prepared.agent.definition.permissions;
        let (answer, calls) = Answer::new(message, &mut completion, &self.prepared.built.tools, permissions);
        for (request, call) in calls.iter().zip(answer.calls()) {
            let arguments = answer.work(call).map_or(serde_json::Value::Null, |work| (*work.input).clone());
            let (call, tool) = (call.clone(), request.tool.to_string());
            self.steps.call(CallChange::Asked { message, call, tool, arguments, class: request.class });
        }
        let seen = &mut self.story.seen;
        seen.text = completion.content.iter().filter_map(ContentBlock::as_text).collect();
        seen.partial_text = None;
        seen.model = Some(completion.model.to_string());
        self.story.answer = Some(answer);
        let said = Draughted { role: Role::Assistant, content: completion.content, beside: Vec::new(), cost };
        let at = self.core.clock.now();
        self.story.current.push(self.steps.message(message, at, said));
        let (finish, usage) = (completion.finish, completion.usage);
        let calls_granted = self.budgets.granted(effect);
        EventKind::LlmDone { effect, message, finish, usage, estimated, cost, calls, calls_granted }
    }

    /// About what a provider that does not say so used for the latest request and its answer.
    fn estimated_usage(&self, answer: &[ContentBlock]) -> Usage {
        let answer = Message { role: Role::Assistant, content: answer.to_vec() };
        Usage { input: self.context.used, output: estimate_message(&answer), ..Usage::default() }
    }

    pub(super) fn take_failure(&mut self, effect: u32, failed: FailedCall, took: Duration) -> EventKind {
        let FailedCall { error, usage, partial_text } = failed;
        let model = &self.prepared.model;
        let cost = model.info.prices.map_or(NanoUsd::ZERO, |prices| prices.cost(&usage));
        let code = error.class.code();
        self.core.count_model_call(&model.provider_name, &model.name, code.as_str(), usage, cost, took);
        self.story.seen.partial_text = Some(partial_text);
        EventKind::LlmFailed {
            effect,
            code: code.as_str().to_owned(),
            message: error.to_string(),
            retryable: error.class.is_retryable(),
            too_long: error.class == loom_llm::ErrorClass::ContextTooLong,
            retry_after: error.retry_after,
            usage,
            cost,
        }
    }
}
