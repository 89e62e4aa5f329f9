//! The chunks of a streamed answer.

use std::sync::Arc;

use loom_base::EffectId;
use loom_llm::{Chunk, ErrorClass, FinishReason, LlmError, Usage};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Failures;
use crate::tool_calls::{CallDelta, ToolCalls};

/// What was read of an answer so far.
pub(crate) struct Answer {
    started: bool,
    finished: bool,
    refused: bool,
    /// The content blocks so far, in the order they began.
    blocks: usize,
    text: Option<usize>,
    thinking: Option<usize>,
    calls: ToolCalls,
}

#[derive(Deserialize)]
struct Event {
    model: Option<Arc<str>>,
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Arc<str>>,
    refusal: Option<Arc<str>>,
    /// The reasoning, as vLLM and `DeepSeek` call it.
    reasoning_content: Option<Arc<str>>,
    /// The reasoning, as Ollama and gateways call it.
    reasoning: Option<Arc<str>>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    /// The API's `prompt_tokens` include cached ones; ours do not.
    fn from(counts: Counts) -> Self {
        let prompt = counts.prompt_tokens.unwrap_or(0);
        let cached =
            counts.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0).min(prompt);
        Self {
            input: prompt - cached,
            output: counts.completion_tokens.unwrap_or(0),
            cache_read: cached,
            cache_write: 0,
        }
    }
}

impl Answer {
    /// Nothing read yet of the answer that `effect` asked for.
    pub(crate) const fn new(effect: EffectId) -> Self {
        Self {
            started: false,
            finished: false,
            refused: false,
            blocks: 0,
            text: None,
            thinking: None,
            calls: ToolCalls::new(effect),
        }
    }

    /// Whether the model said why it stopped.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The chunks in one event's data.
    pub(crate) fn read(&mut self, data: &str, failures: &Failures) -> Result<Vec<Chunk>, LlmError> {
        let malformed = || failures.failure(ErrorClass::Malformed, "an event is not one of Chat Completions");
        let event: Event = serde_json::from_str(data).map_err(|_| malformed())?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            return Err(failures.event(&error));
        }
        if event.choices.is_none() && event.usage.is_none() {
            return Err(malformed());
        }
        let mut chunks = Vec::new();
        if let Some(model) = event.model.filter(|model| !self.started && !model.is_empty()) {
            self.started = true;
            chunks.push(Chunk::Start { model });
        }
        // Only one choice is asked for.
        if let Some(choice) = event.choices.into_iter().flatten().next() {
            if let Some(delta) = choice.delta {
                self.delta(delta, &mut chunks);
            }
            let reason = choice.finish_reason.filter(|reason| !reason.is_empty());
            if let Some(reason) = reason.filter(|_| !self.finished) {
                self.finished = true;
                chunks.push(Chunk::Finish(self.finish_reason(&reason, failures)?));
            }
        }
        chunks.extend(event.usage.map(|counts| Chunk::Usage(counts.into())));
        Ok(chunks)
    }

    fn delta(&mut self, delta: Delta, chunks: &mut Vec<Chunk>) {
        let some = |text: Option<Arc<str>>| text.filter(|text| !text.is_empty());
        if let Some(text) = some(delta.reasoning_content).or(some(delta.reasoning)) {
            let index = block(&mut self.thinking, &mut self.blocks);
            chunks.push(Chunk::Thinking { index, delta: text, signature: None });
        }
        let refusal = some(delta.refusal);
        self.refused |= refusal.is_some();
        for text in [some(delta.content), refusal].into_iter().flatten() {
            let index = block(&mut self.text, &mut self.blocks);
            chunks.push(Chunk::Text { index, delta: text });
        }
        for call in delta.tool_calls.into_iter().flatten() {
            chunks.extend(self.calls.read(call, &mut self.blocks));
        }
    }

    fn finish_reason(&self, reason: &str, failures: &Failures) -> Result<FinishReason, LlmError> {
        match reason {
            "stop" if self.refused => Ok(FinishReason::Refusal),
            // Several compatible servers say `stop` after tool calls.
            "stop" if !self.calls.is_empty() => Ok(FinishReason::ToolUse),
            "stop" => Ok(FinishReason::Stop),
            "tool_calls" | "function_call" => Ok(FinishReason::ToolUse),
            "length" => Ok(FinishReason::MaxTokens),
            "content_filter" => Ok(FinishReason::Refusal),
            other => {
                let other = loom_http_client::excerpt(other, None);
                let message = format!("the finish reason {other:?} is not a known one");
                Err(failures.failure(ErrorClass::Malformed, message))
            }
        }
    }
}

/// The block of a kind that an answer has once.
fn block(known: &mut Option<usize>, blocks: &mut usize) -> usize {
    *known.get_or_insert_with(|| {
        *blocks += 1;
        *blocks - 1
    })
}

#[cfg(test)]
mod tests;
