//! The half of a drive that runs hooks.

use std::sync::Arc;

use loom_agent::{CallState, Effect, EventKind, HookEntry, HookPoint};
use loom_base::{EffectId, ErrorCode};
use loom_llm::{ContentBlock, Message, Role};
use loom_telemetry::{redact, redact_json};
use loom_tools::{HookCall, HookInput, HookMessage, ToolContext, ToolError};
use tracing::Instrument;

use super::{Drive, Reply};
use crate::ending::outcome_name;
use crate::tool_call::Ended;
use crate::{Error, hooks};

/// Bytes of a text that a hook is told.
const MOST_TEXT_BYTES: usize = 65_536;

impl Drive<'_> {
    /// Performs what waited for the turn's acceptance.
    pub(super) fn perform_held_back(&mut self, effects: Vec<Effect>) -> Result<(), Error> {
        if !effects.is_empty() {
            self.lease.ensure_held()?;
        }
        for effect in effects {
            self.perform(effect, self.prepared.at);
        }
        Ok(())
    }

    pub(super) fn run_hook(&mut self, effect: EffectId, point: HookPoint, entry: HookEntry) {
        let Some(hook) = self.prepared.built.hooks.get(&entry.name).cloned() else {
            let gone = Ended::Known(Err(gone(&entry.name)));
            let reply = Reply::Hook { effect: effect.number, entry, ended: gone };
            return self.replies.push(Box::pin(std::future::ready(reply)));
        };
        let input = HookInput {
            point,
            hook: Arc::clone(&entry.name),
            effect,
            session: self.session.clone(),
            turn: self.running.turn,
            agent: self.prepared.agent.id.clone(),
            agent_name: self.prepared.agent.definition.name.clone(),
            messages: self.messages_for(point),
            calls: self.calls_for(point),
        };
        let context = ToolContext {
            effect,
            session: self.session.clone(),
            agent: self.prepared.agent.id.clone(),
            trace: self.prepared.trace,
            cancel: self.stop_of(effect.number),
        };
        let clock = Arc::clone(&self.core.clock);
        let span =
            tracing::debug_span!("run_hook", loom.hook = %entry.name, loom.hook.point = point.as_str());
        let ran = async move {
            let ended = hooks::run(hook, input, context, clock).await;
            Reply::Hook { effect: effect.number, entry, ended }
        };
        self.replies.push(Box::pin(ran.instrument(span)));
    }

    pub(super) fn take_hook(&self, effect: u32, entry: &HookEntry, ended: Ended) -> EventKind {
        let event = hooks::done(effect, entry, ended);
        if let EventKind::HookDone { said, .. } = &event {
            let outcome = said.as_ref().map_or("continued", |said| said.outcome.as_str());
            self.core.metrics.hook_runs.add([&entry.name, outcome], 1);
        }
        event
    }

    fn messages_for(&self, point: HookPoint) -> Vec<HookMessage> {
        let current = &self.story.current;
        let about = match point {
            HookPoint::SessionStart | HookPoint::TurnStart | HookPoint::BeforeModel => current.as_slice(),
            HookPoint::AfterModel => current.last().map_or(&[][..], std::slice::from_ref),
            HookPoint::AfterTools => &[],
        };
        let told = about.iter().filter_map(|kept| {
            let message = &kept.message;
            let text = match message.role {
                // What stands beside it was not said by them.
                Role::User if !is_results(message) => message.said().unwrap_or_default().to_owned(),
                Role::User => return None,
                Role::Assistant => message.plain_text(),
            };
            let text = hooks::cut(redact(&text).into_owned(), MOST_TEXT_BYTES);
            (!text.is_empty()).then_some(HookMessage { role: message.role.as_str(), text })
        });
        told.collect()
    }

    fn calls_for(&self, point: HookPoint) -> Vec<HookCall> {
        let Some(answer) = &self.story.answer else { return Vec::new() };
        let (HookPoint::AfterModel | HookPoint::AfterTools) = point else { return Vec::new() };
        let calls = self.story.turn.calls().iter().filter_map(|call| {
            let id = &call.request.id;
            let mut arguments = (*answer.work(id)?.input).clone();
            redact_json(&mut arguments);
            let outcome = match call.state {
                CallState::Done(outcome) => Some(outcome_name(outcome)),
                _ => None,
            };
            let result = answer.result(id).map(|text| hooks::cut(redact(text).into_owned(), MOST_TEXT_BYTES));
            let (id, tool, class) = (id.clone(), Arc::clone(&call.request.tool), call.request.class);
            Some(HookCall { id, tool, class, arguments, outcome, result })
        });
        calls.collect()
    }
}

fn is_results(message: &Message) -> bool {
    message.content.iter().any(|block| matches!(block, ContentBlock::ToolResult { .. }))
}

/// A hook that a turn began with and that the agent no longer has.
fn gone(hook: &str) -> ToolError {
    ToolError::failed(ErrorCode::ToolFailed, format!("the hook {hook:?} is no longer there"))
}
