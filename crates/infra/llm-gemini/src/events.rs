//! The event stream of an answer, read event by event.

use std::sync::Arc;

use loom_base::{CallId, EffectId};
use loom_llm::{Chunk, ErrorClass, FinishReason, LlmError, Usage, signature};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Failures, NAME, Reported, failure};

/// What was read of an answer so far.
pub(crate) struct Answer {
    effect: EffectId,
    started: bool,
    finished: bool,
    calls: usize,
    /// The content blocks so far.
    blocks: usize,
    /// The block that more text of its kind continues.
    open: Option<(Kind, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Counts>,
    model_version: Option<Arc<str>>,
    error: Option<Reported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

/// One part; kinds that are not asked for (code that the API ran, for instance) have none of these fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<Arc<str>>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: Arc<str>,
    #[serde(default)]
    args: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
struct Counts {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl From<Counts> for Usage {
    /// The API's prompt count includes cached tokens; ours does not. Thoughts are billed as output.
    fn from(counts: Counts) -> Self {
        let prompt = counts.prompt_token_count.unwrap_or(0) + counts.tool_use_prompt_token_count.unwrap_or(0);
        let cached = counts.cached_content_token_count.unwrap_or(0).min(prompt);
        Self {
            input: prompt - cached,
            output: counts.candidates_token_count.unwrap_or(0) + counts.thoughts_token_count.unwrap_or(0),
            cache_read: cached,
            cache_write: 0,
        }
    }
}

impl Answer {
    /// Nothing read yet of the answer that `effect` asked for.
    pub(crate) const fn new(effect: EffectId) -> Self {
        Self { effect, started: false, finished: false, calls: 0, blocks: 0, open: None }
    }

    /// Whether the model said why it stopped.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// The chunks in one event's data.
    pub(crate) fn read(&mut self, data: &str, failures: &Failures) -> Result<Vec<Chunk>, LlmError> {
        let malformed = || failure(ErrorClass::Malformed, "an event is not one of the Gemini API");
        let event: Event = serde_json::from_str(data).map_err(|_| malformed())?;
        if let Some(error) = event.error {
            return Err(failures.event(&error));
        }
        if event.candidates.is_none() && event.prompt_feedback.is_none() && event.usage_metadata.is_none() {
            return Err(malformed());
        }
        let mut chunks = Vec::new();
        if let Some(model) = event.model_version.filter(|model| !self.started && !model.is_empty()) {
            self.started = true;
            chunks.push(Chunk::Start { model });
        }
        // Only one candidate is asked for.
        if let Some(candidate) = event.candidates.into_iter().flatten().next() {
            for part in candidate.content.into_iter().flat_map(|content| content.parts) {
                self.part(part, &mut chunks);
            }
            if let Some(reason) = candidate.finish_reason.filter(|_| !self.finished) {
                self.finish(finish_reason(&reason, self.calls > 0)?, &mut chunks);
            }
        }
        let blocked = event.prompt_feedback.and_then(|feedback| feedback.block_reason).is_some();
        if blocked && !self.finished {
            self.finish(FinishReason::Refusal, &mut chunks);
        }
        chunks.extend(event.usage_metadata.map(|counts| Chunk::Usage(counts.into())));
        Ok(chunks)
    }

    fn finish(&mut self, reason: FinishReason, chunks: &mut Vec<Chunk>) {
        self.finished = true;
        chunks.push(Chunk::Finish(reason));
    }

    fn part(&mut self, part: Part, chunks: &mut Vec<Chunk>) {
        // A signature is of the part it comes with, and goes back with it: it stands in a block of its own before that.
        if let Some(value) = part.thought_signature {
            self.open = None;
            let signature = Some(signature::of(NAME, &value));
            chunks.push(Chunk::Thinking { index: self.block(), delta: "".into(), signature });
        }
        if let Some(call) = part.function_call {
            self.call(call, chunks);
        } else if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            let kind = if part.thought { Kind::Thinking } else { Kind::Text };
            let index = self.continued(kind);
            chunks.push(match kind {
                Kind::Text => Chunk::Text { index, delta: text },
                Kind::Thinking => Chunk::Thinking { index, delta: text, signature: None },
            });
        }
    }

    /// A call comes whole. Where the API gives it no id, its place makes one.
    fn call(&mut self, call: FunctionCall, chunks: &mut Vec<Chunk>) {
        self.open = None;
        let index = self.block();
        let given = call.id.filter(|id| !id.is_empty());
        let id = given.unwrap_or_else(|| format!("call_{}_{}", self.effect.number, self.calls));
        self.calls += 1;
        chunks.push(Chunk::ToolUse { index, id: CallId::new(id), name: call.name });
        if !call.args.is_empty() {
            chunks.push(Chunk::ToolInput { index, delta: Value::Object(call.args).to_string().into() });
        }
    }

    fn continued(&mut self, kind: Kind) -> usize {
        match self.open {
            Some((open, index)) if open == kind => index,
            _ => {
                let index = self.block();
                self.open = Some((kind, index));
                index
            }
        }
    }

    const fn block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }
}

/// The API says `STOP` after calls too, and has no reason of its own for a stop sequence. An answer whose calls it could
/// not read itself is no answer: asking again may give one.
fn finish_reason(reason: &str, has_calls: bool) -> Result<FinishReason, LlmError> {
    match reason {
        "STOP" if has_calls => Ok(FinishReason::ToolUse),
        "STOP" => Ok(FinishReason::Stop),
        "MAX_TOKENS" => Ok(FinishReason::MaxTokens),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "OTHER"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_OTHER"
        | "NO_IMAGE" => Ok(FinishReason::Refusal),
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => {
            Err(failure(ErrorClass::Malformed, format!("the model made an answer that is none ({reason})")))
        }
        other => {
            let other = loom_http_client::excerpt(other, None);
            Err(failure(ErrorClass::Malformed, format!("the finish reason {other:?} is not a known one")))
        }
    }
}

#[cfg(test)]
mod tests;
