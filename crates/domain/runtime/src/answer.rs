//! The calls of one answer and the results they get, until the model sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use loom_agent::{CallKind, CallOutcome, CallRequest, Verdict};
use loom_base::{CallId, Digest, MessageId, Timestamp};
use loom_llm::{Completion, ContentBlock, ToolRole};
use loom_tools::{EffectClass, Tool, ToolError, ToolOutput, ToolSet};

use crate::Permissions;

/// Bytes of a result that are kept. Backends have bounds of their own, far below it.
const MOST_STORED_BYTES: usize = 1 << 20;

/// An answer with calls.
pub(crate) struct Answer {
    pub(crate) message: MessageId,
    order: Vec<CallId>,
    works: HashMap<CallId, Work>,
    results: HashMap<CallId, ContentBlock>,
    /// Whether the calls are Loom's own, so that the model is told nothing of them.
    is_own: bool,
}

/// One call of it.
pub(crate) struct Work {
    pub(crate) name: Arc<str>,
    pub(crate) input: Arc<Value>,
    pub(crate) tool: Option<Arc<dyn Tool>>,
    pub(crate) class: EffectClass,
    pub(crate) started_at: Option<Timestamp>,
    refusal: Option<String>,
    output: Option<Result<ToolOutput, ToolError>>,
}

/// A call's one result, as the model, the client and the trace see it.
pub(crate) struct Settlement {
    /// The data as JSON, or what went wrong.
    pub(crate) stored: String,
    /// The data, where it succeeded.
    pub(crate) data: Option<Arc<Value>>,
    pub(crate) facts: Map<String, Value>,
    pub(crate) duration: Duration,
}

impl Answer {
    /// Reads the calls of `completion` and decides what may become of each. Calls with the same id get their own: some
    /// models repeat ids within one answer, and results are matched by id.
    pub(crate) fn new(
        message: MessageId,
        completion: &mut Completion,
        tools: &ToolSet,
        permissions: &Permissions,
    ) -> (Self, Vec<CallRequest>) {
        let mut answer = Self::empty(message);
        let mut requests = Vec::new();
        for block in &mut completion.content {
            let ContentBlock::ToolUse { id, name, input } = block else { continue };
            if id.as_str().is_empty() || answer.works.contains_key(id) {
                *id = CallId::new(format!("{id}_{}", answer.order.len() + 1));
            }
            let work = Work::new(name, input, tools);
            requests.push(CallRequest {
                id: id.clone(),
                tool: Arc::clone(name),
                kind: work.kind(),
                class: work.class,
                verdict: if work.refusal.is_some() {
                    Verdict::Deny
                } else {
                    permissions.verdict(name, work.class)
                },
                arguments: Digest::of_json(input),
            });
            answer.order.push(id.clone());
            answer.works.insert(id.clone(), work);
        }
        (answer, requests)
    }

    /// The answer as it was stored: its calls with what was decided of them then.
    pub(crate) fn stored(
        message: MessageId,
        content: &[ContentBlock],
        requests: &[CallRequest],
        tools: &ToolSet,
    ) -> Self {
        let mut answer = Self::empty(message);
        for request in requests {
            let input = content.iter().find_map(|block| match block {
                ContentBlock::ToolUse { id, input, .. } if *id == request.id => Some(input),
                _ => None,
            });
            let work = Work {
                class: request.class,
                ..Work::new(&request.tool, input.unwrap_or(&Value::Null), tools)
            };
            answer.order.push(request.id.clone());
            answer.works.insert(request.id.clone(), work);
        }
        answer
    }

    /// A call of Loom's own, which is stored with `message`.
    pub(crate) fn own(message: MessageId, request: &CallRequest, input: Value) -> Self {
        let mut answer = Self { is_own: true, ..Self::empty(message) };
        let work = Work {
            name: Arc::clone(&request.tool),
            input: Arc::new(input),
            class: request.class,
            tool: None,
            started_at: None,
            refusal: None,
            output: None,
        };
        answer.order.push(request.id.clone());
        answer.works.insert(request.id.clone(), work);
        answer
    }

    fn empty(message: MessageId) -> Self {
        Self { message, order: Vec::new(), works: HashMap::new(), results: HashMap::new(), is_own: false }
    }

    pub(crate) fn work(&self, call: &CallId) -> Option<&Work> {
        self.works.get(call)
    }

    pub(crate) fn start(&mut self, call: &CallId, at: Timestamp) {
        if let Some(work) = self.works.get_mut(call) {
            work.started_at = Some(at);
        }
    }

    /// Says why the call was refused, for the model to read.
    pub(crate) fn refuse(&mut self, call: &CallId, why: String) {
        if let Some(work) = self.works.get_mut(call) {
            work.refusal = Some(why);
        }
    }

    pub(crate) fn set_output(&mut self, call: &CallId, output: Result<ToolOutput, ToolError>) {
        if let Some(work) = self.works.get_mut(call) {
            work.output = Some(output);
        }
    }

    /// The result of `call`, which ended with `outcome` at `at`.
    pub(crate) fn settle(
        &mut self,
        call: &CallId,
        outcome: CallOutcome,
        at: Timestamp,
    ) -> Option<Settlement> {
        let work = self.works.get_mut(call)?;
        let (stored, data, facts) = match (outcome, work.output.take()) {
            (CallOutcome::Succeeded, Some(Ok(output))) => {
                let (stored, data) = bounded(output.data);
                (stored, Some(data), output.facts)
            }
            (CallOutcome::Failed, Some(Err(error))) => {
                (cut(format!("{}: {}", error.code, error.message), MOST_STORED_BYTES), None, error.facts)
            }
            (outcome, _) => (work.text_of(outcome), None, Map::new()),
        };
        Some(Settlement { stored, data, facts, duration: work.ran_until(at) })
    }

    /// The result of `call` as it was stored.
    pub(crate) fn settled(
        &self,
        call: &CallId,
        outcome: CallOutcome,
        at: Timestamp,
        stored: String,
    ) -> Option<Settlement> {
        let work = self.works.get(call)?;
        let data = || serde_json::from_str(&stored).unwrap_or_else(|_| Value::String(stored.clone()));
        let data = (outcome == CallOutcome::Succeeded).then(|| Arc::new(data()));
        Some(Settlement { stored, data, facts: Map::new(), duration: work.ran_until(at) })
    }

    /// Keeps the result that the model will see: `most_bytes` of what is `stored`.
    pub(crate) fn keep(&mut self, call: &CallId, stored: &str, is_error: bool, most_bytes: usize) {
        let content = cut(stored.to_owned(), most_bytes).into();
        let result = ContentBlock::ToolResult { id: call.clone(), content, is_error };
        self.results.insert(call.clone(), result);
    }

    /// The result of `call` as the model will see it, once it has one.
    pub(crate) fn result(&self, call: &CallId) -> Option<&str> {
        match self.results.get(call)? {
            ContentBlock::ToolResult { content, .. } => Some(content),
            _ => None,
        }
    }

    /// One result for each call, in the answer's order; `None` when it has no calls.
    pub(crate) fn into_results(mut self) -> Option<Vec<ContentBlock>> {
        if self.is_own {
            return None;
        }
        let results: Vec<_> = self.order.iter().filter_map(|call| self.results.remove(call)).collect();
        (!results.is_empty()).then_some(results)
    }

    /// The calls of the answer, in its order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &CallId> {
        self.order.iter()
    }
}

impl Work {
    fn new(name: &Arc<str>, input: &Value, tools: &ToolSet) -> Self {
        let tool = tools.get(name).cloned();
        let refusal = match &tool {
            None => {
                let known: Vec<_> =
                    tools.iter().map(|tool| tool.spec().definition.name.to_string()).collect();
                Some(format!("no tool is called {name:?}; there are: {}", known.join(", ")))
            }
            Some(_) => tools.check_arguments(name, input).err().map(|error| error.to_string()),
        };
        Self {
            name: Arc::clone(name),
            input: Arc::new(input.clone()),
            class: tool.as_ref().map_or(EffectClass::Pure, |tool| tool.spec().effect),
            tool,
            started_at: None,
            refusal,
            output: None,
        }
    }

    fn kind(&self) -> CallKind {
        let role = self.tool.as_ref().and_then(|tool| tool.spec().definition.role);
        if role == Some(ToolRole::AskUser) { CallKind::Question } else { CallKind::Tool }
    }

    fn ran_until(&self, at: Timestamp) -> Duration {
        self.started_at.map_or(Duration::ZERO, |started_at| at.since(started_at))
    }

    fn text_of(&self, outcome: CallOutcome) -> String {
        match outcome {
            CallOutcome::Denied => self.refusal.clone().unwrap_or_else(|| "this call was refused".to_owned()),
            CallOutcome::OverLimit => {
                "not run: this turn has used up its tool calls; answer with what is known".to_owned()
            }
            CallOutcome::Cancelled => "not finished: the turn was stopped".to_owned(),
            CallOutcome::Unknown => {
                "outcome unknown: the call was cut off and may have taken effect; check before repeating it"
                    .to_owned()
            }
            CallOutcome::Succeeded | CallOutcome::Failed => "the result was lost".to_owned(),
        }
    }
}

/// Data as it is stored, and as clients see it: whole, or as text that was cut.
fn bounded(data: Value) -> (String, Arc<Value>) {
    let text = data.to_string();
    if text.len() <= MOST_STORED_BYTES {
        return (text, Arc::new(data));
    }
    let text = cut(text, MOST_STORED_BYTES);
    (text.clone(), Arc::new(Value::String(text)))
}

/// At most `most_bytes` of `text`, and a note of what is missing.
fn cut(mut text: String, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text;
    }
    let whole = text.len();
    let end = (0..=most_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    format!("{text} [cut: {end} of {whole} bytes shown; ask for fewer rows or columns]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_result_says_so_and_ends_on_a_character() {
        assert_eq!(cut("short".into(), 5), "short");
        let shown = cut("ééééé".into(), 5);
        assert!(shown.starts_with("éé [cut: 4 of 10 bytes"), "{shown}");
    }
}
