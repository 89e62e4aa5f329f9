//! The half of a drive that does what the machine asks for.

use std::sync::Arc;

use loom_agent::Effect;
use loom_base::{CallId, EffectId, ErrorCode, Timestamp};
use loom_llm::{CallContext, CompletionRequest};
use loom_memory::{Layers, compile};
use loom_tools::{ToolContext, ToolError};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Drive, NextCall, Reply};
use crate::model_call::{self, FailedCall};
use crate::tool_call::Ended;
use crate::{ContextUse, tool_call};

/// How long after its expiry an approval that nobody gave counts as refused.
const AFTER_EXPIRY: std::time::Duration = std::time::Duration::from_millis(1);

impl Drive<'_> {
    pub(super) fn perform(&mut self, effect: Effect, at: Timestamp) {
        match effect {
            Effect::CallLlm { effect, attempt } => self.call_model(effect, attempt, at),
            Effect::RunTool { effect, call } => self.run_tool(effect, call),
            Effect::RunHook { effect, point, hook } => self.run_hook(effect, point, hook),
            Effect::StartTimer { effect, delay } => {
                let (clock, stop) = (Arc::clone(&self.core.clock), self.stop_of(effect.number));
                self.replies.push(Box::pin(async move {
                    tokio::select! {
                        () = clock.sleep(delay) => Reply::Timer { effect: effect.number },
                        () = stop.cancelled() => std::future::pending().await,
                    }
                }));
            }
            Effect::Compact { effect } => {
                let freed = self.recent.halve();
                let effect = effect.number;
                self.replies.push(Box::pin(std::future::ready(Reply::Compacted { effect, freed })));
            }
            Effect::Cancel { effect } => {
                self.stops.remove(&effect.number);
            }
            Effect::RequestApproval { effect, expires_at, .. } => {
                let (clock, stop) = (Arc::clone(&self.core.clock), self.stop_of(effect.number));
                // A moment later, so that an answer in the last one is still taken.
                let delay = expires_at.since(at) + AFTER_EXPIRY;
                self.replies.push(Box::pin(async move {
                    tokio::select! {
                        () = clock.sleep(delay) => Reply::ApprovalExpired { effect: effect.number },
                        () = stop.cancelled() => std::future::pending().await,
                    }
                }));
            }
            // Recorded and shown before; and the machine is given no delegation to ask for.
            Effect::Settled { .. } | Effect::AskUser { .. } | Effect::Finish(_) | Effect::Delegate { .. } => {
            }
        }
    }

    fn call_model(&mut self, effect: EffectId, attempt: u32, at: Timestamp) {
        let stop = self.stop_of(effect.number);
        let number = effect.number;
        let request = match self.next_call.take() {
            Some(NextCall::Ready(request)) => *request,
            Some(NextCall::Short(short)) => {
                let reply = Reply::OverBudget { effect: number, short };
                return self.replies.push(Box::pin(std::future::ready(reply)));
            }
            // Each is made ready before it is performed.
            None => return,
            Some(NextCall::Unaskable(error)) => {
                let failed =
                    FailedCall { error, usage: loom_llm::Usage::default(), partial_text: String::new() };
                let reply =
                    Reply::Model { effect: number, result: Err(failed), took: std::time::Duration::ZERO };
                return self.replies.push(Box::pin(std::future::ready(reply)));
            }
        };
        let provider = Arc::clone(&self.prepared.model.provider);
        let (feed, clock) = (Arc::clone(&self.story.feed), Arc::clone(&self.core.clock));
        let span = tracing::debug_span!("chat", loom.attempt = attempt);
        let called = async move {
            let result = model_call::run(provider, request, feed, Arc::clone(&clock), stop).await;
            Reply::Model { effect: number, result, took: clock.now().since(at) }
        };
        self.replies.push(Box::pin(called.instrument(span)));
    }

    pub(super) fn compile_request(
        &mut self,
        effect: EffectId,
    ) -> Result<CompletionRequest, loom_llm::LlmError> {
        let model = &self.prepared.model;
        let layers = Layers {
            rom: &self.prepared.built.rom,
            summaries: &[],
            recent: self.recent,
            current: &self.story.current,
        };
        let compiled = compile(layers, model.window, model.output_reserve).map_err(|error| {
            let class = loom_llm::ErrorClass::ContextTooLong;
            loom_llm::LlmError::new(&model.provider_name, class, error.to_string())
        })?;
        self.context = ContextUse {
            used: compiled.tokens,
            room: compiled.room,
            messages_dropped: compiled.first_seq.map_or(0, |first| first.saturating_sub(self.context_start)),
        };
        Ok(CompletionRequest {
            model: Arc::clone(&model.name),
            system: compiled.system,
            messages: compiled.messages,
            tools: compiled.tools,
            max_output_tokens: model.max_output,
            sampling: model.sampling.clone(),
            context: CallContext {
                effect,
                session: self.session.clone(),
                agent: self.prepared.agent.id.clone(),
                trace: self.prepared.trace,
                deadline: self.story.turn.out_of_time_at(),
            },
        })
    }

    fn run_tool(&mut self, effect: EffectId, call: CallId) {
        let work = self.story.answer.as_ref().and_then(|answer| answer.work(&call));
        let Some(work) = work else { return };
        let (input, name) = (Arc::clone(&work.input), Arc::clone(&work.name));
        let Some(tool) = work.tool.clone() else {
            let gone = Ended::Known(Err(gone(&name)));
            let reply = Reply::Tool { effect: effect.number, call, ended: gone };
            return self.replies.push(Box::pin(std::future::ready(reply)));
        };
        let context = ToolContext {
            effect,
            session: self.session.clone(),
            agent: self.prepared.agent.id.clone(),
            trace: self.prepared.trace,
            cancel: self.stop_of(effect.number),
        };
        let clock = Arc::clone(&self.core.clock);
        let span = tracing::debug_span!("execute_tool", gen_ai.tool.name = %name);
        let ran = async move {
            let ended = tool_call::run(tool, (*input).clone(), context, clock).await;
            Reply::Tool { effect: effect.number, call, ended }
        };
        self.replies.push(Box::pin(ran.instrument(span)));
    }

    pub(super) fn stop_of(&mut self, effect: u32) -> CancellationToken {
        self.stops.entry(effect).or_default().0.clone()
    }
}

/// A call that was asked before a stop, of a tool that the agent no longer has.
fn gone(tool: &str) -> ToolError {
    ToolError::failed(ErrorCode::ToolFailed, format!("the tool {tool:?} is no longer there"))
}
