//! The event stream of an answer, read event by event.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom_base::CallId;
use loom_llm::{Chunk, ErrorClass, FinishReason, LlmError, Usage};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{ErrorObject, Failures, failure};

/// What was read of an answer so far.
#[derive(Default)]
pub(crate) struct Answer {
    /// Blocks of a kind that Loom does not know; what is added to them is skipped.
    skipped: BTreeSet<usize>,
    complete: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: Stop,
        usage: Option<Counts>,
    },
    MessageStop,
    Error {
        error: ErrorObject,
    },
    /// `content_block_stop` and `ping` say nothing new, and the API adds events over time.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    model: Arc<str>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: Arc<str>,
    },
    Thinking {
        thinking: Arc<str>,
    },
    ToolUse {
        id: CallId,
        name: Arc<str>,
        #[serde(default)]
        input: Map<String, Value>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names of the wire")]
enum Delta {
    #[serde(rename = "text_delta")]
    TextDelta { text: Arc<str> },
    #[serde(rename = "input_json_delta")]
    InputJsonDelta { partial_json: Arc<str> },
    #[serde(rename = "thinking_delta")]
    ThinkingDelta { thinking: Arc<str> },
    #[serde(rename = "signature_delta")]
    SignatureDelta { signature: Arc<str> },
    #[serde(other)]
    OtherDelta,
}

#[derive(Deserialize)]
struct Stop {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    /// The API's `input_tokens` leaves out cached tokens, as ours does.
    fn from(counts: Counts) -> Self {
        Self {
            input: counts.input_tokens.unwrap_or(0),
            output: counts.output_tokens.unwrap_or(0),
            cache_read: counts.cache_read_input_tokens.unwrap_or(0),
            cache_write: counts.cache_creation_input_tokens.unwrap_or(0),
        }
    }
}

impl Answer {
    /// Whether the last event of the protocol was read.
    pub(crate) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The chunks in one event's data.
    pub(crate) fn read(&mut self, data: &str, failures: &Failures) -> Result<Vec<Chunk>, LlmError> {
        let event: Event = serde_json::from_str(data)
            .map_err(|_| failure(ErrorClass::Malformed, "an event is not one of the Messages API"))?;
        match event {
            Event::MessageStart { message } => {
                let usage = message.usage.map(|counts| Chunk::Usage(counts.into()));
                Ok([Chunk::Start { model: message.model }].into_iter().chain(usage).collect())
            }
            Event::ContentBlockStart { index, content_block } => Ok(self.start(index, content_block)),
            Event::ContentBlockDelta { index, .. } if self.skipped.contains(&index) => Ok(Vec::new()),
            Event::ContentBlockDelta { index, delta } => Ok(more(index, delta).into_iter().collect()),
            Event::MessageDelta { delta, usage } => {
                let finish = delta.stop_reason.as_deref().map(finish_reason).transpose()?;
                let usage = usage.map(|counts| Chunk::Usage(counts.into()));
                Ok(usage.into_iter().chain(finish.map(Chunk::Finish)).collect())
            }
            Event::MessageStop => {
                self.complete = true;
                Ok(Vec::new())
            }
            Event::Error { error } => Err(failures.event(&error)),
            Event::Other => Ok(Vec::new()),
        }
    }

    fn start(&mut self, index: usize, block: Block) -> Vec<Chunk> {
        match block {
            Block::Text { text } => vec![Chunk::Text { index, delta: text }],
            Block::Thinking { thinking } => {
                vec![Chunk::Thinking { index, delta: thinking, signature: None }]
            }
            Block::ToolUse { id, name, input } => {
                let start = Chunk::ToolUse { index, id, name };
                // Normally empty here and streamed afterwards; compatible servers send it whole.
                let whole = (!input.is_empty()).then(|| Value::Object(input).to_string());
                let whole = whole.map(|json| Chunk::ToolInput { index, delta: json.into() });
                [start].into_iter().chain(whole).collect()
            }
            Block::Other => {
                self.skipped.insert(index);
                Vec::new()
            }
        }
    }
}

fn more(index: usize, delta: Delta) -> Option<Chunk> {
    match delta {
        Delta::TextDelta { text } => Some(Chunk::Text { index, delta: text }),
        Delta::InputJsonDelta { partial_json } => Some(Chunk::ToolInput { index, delta: partial_json }),
        Delta::ThinkingDelta { thinking } => {
            Some(Chunk::Thinking { index, delta: thinking, signature: None })
        }
        Delta::SignatureDelta { signature } => {
            Some(Chunk::Thinking { index, delta: "".into(), signature: Some(signature) })
        }
        Delta::OtherDelta => None,
    }
}

/// `pause_turn` and a full window leave an answer unfinished, which is what reaching the output limit means to a turn.
fn finish_reason(reason: &str) -> Result<FinishReason, LlmError> {
    match reason {
        "end_turn" => Ok(FinishReason::Stop),
        "tool_use" => Ok(FinishReason::ToolUse),
        "max_tokens" | "pause_turn" | "model_context_window_exceeded" => Ok(FinishReason::MaxTokens),
        "stop_sequence" => Ok(FinishReason::StopSequence),
        "refusal" => Ok(FinishReason::Refusal),
        other => {
            let other = loom_http_client::excerpt(other, None);
            Err(failure(ErrorClass::Malformed, format!("the stop reason {other:?} is not a known one")))
        }
    }
}

#[cfg(test)]
mod tests;
