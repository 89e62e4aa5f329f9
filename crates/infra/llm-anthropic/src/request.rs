//! A request as the Messages API wants it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use loom_base::CallId;
use loom_llm::{
    CompletionRequest, ContentBlock, ErrorClass, LlmError, Role, ToolDefinition, alternating, signature,
    tool_arguments,
};
use serde::Serialize;
use serde_json::Value;

use crate::error::{NAME, failure};

/// The body of a request. It borrows the large parts of what it is made from.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Cached<Tool<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Cached<Block<'a>>>,
    messages: Vec<Turn<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Cached<Block<'a>>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, Value>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Text { media_type: &'static str, data: String },
}

/// A part that may end a prefix which the provider is to keep.
#[derive(Serialize)]
struct Cached<T> {
    #[serde(flatten)]
    part: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<T> From<T> for Cached<T> {
    fn from(part: T) -> Self {
        Self { part, cache_control: None }
    }
}

impl<T> Cached<T> {
    fn mark(&mut self) {
        self.cache_control = Some(CacheControl { kind: "ephemeral" });
    }
}

impl<'a> Body<'a> {
    /// The body of `request`, with cache breakpoints after the tools, the system prompt and the last message: a
    /// conversation only grows at its end, so the next call finds all of this one in the cache.
    pub(crate) fn new(request: &'a CompletionRequest) -> Result<Self, LlmError> {
        let mut tools: Vec<_> = request.tools.iter().map(|tool| Cached::from(Tool::from(tool))).collect();
        let text = Some(&*request.system).filter(|text| !text.trim().is_empty());
        let mut system: Vec<_> = text.map(|text| Cached::from(Block::Text { text })).into_iter().collect();
        let mut messages = turns(request)?;
        tools.last_mut().map(Cached::mark);
        system.last_mut().map(Cached::mark);
        let blocks = messages.iter_mut().rev().flat_map(|turn| turn.content.iter_mut().rev());
        blocks.into_iter().find(|block| !matches!(block.part, Block::Thinking { .. })).map(Cached::mark);
        let sampling = &request.sampling;
        Ok(Self {
            model: &request.model,
            max_tokens: request.max_output_tokens,
            stream: true,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            stop_sequences: &sampling.stop_sequences,
            tools,
            system,
            messages,
        })
    }
}

impl<'a> From<&'a ToolDefinition> for Tool<'a> {
    fn from(tool: &'a ToolDefinition) -> Self {
        Self { name: &tool.name, description: &tool.description, input_schema: &tool.input_schema }
    }
}

fn turns(request: &CompletionRequest) -> Result<Vec<Turn<'_>>, LlmError> {
    let mut turns = Vec::new();
    for (role, blocks) in alternating(&request.messages) {
        let mut content = Vec::with_capacity(blocks.len());
        for source in blocks {
            content.extend(block(source)?.map(Cached::from));
        }
        if !content.is_empty() {
            turns.push(Turn { role: role_name(role), content });
        }
    }
    Ok(turns)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The block as the API takes it; `None` for what it refuses: empty texts, and thinking that it did not sign.
fn block(block: &ContentBlock) -> Result<Option<Block<'_>>, LlmError> {
    Ok(match block {
        ContentBlock::Text { text } if text.trim().is_empty() => None,
        ContentBlock::Text { text } => Some(Block::Text { text }),
        ContentBlock::Image { media_type, data } => {
            Some(Block::Image { source: Source::Base64 { media_type, data } })
        }
        ContentBlock::Document { media_type, data, title } => {
            Some(Block::Document { source: document(media_type, data)?, title: title.as_deref() })
        }
        ContentBlock::ToolUse { id, name, input } => {
            Some(Block::ToolUse { id: wire_id(id), name, input: tool_arguments(input) })
        }
        ContentBlock::ToolResult { id, content, is_error } => {
            Some(Block::ToolResult { tool_use_id: wire_id(id), content, is_error: *is_error })
        }
        ContentBlock::Thinking { text, signature } => {
            let own = signature.as_deref().and_then(|signature| signature::made_by(NAME, signature));
            own.map(|signature| Block::Thinking { thinking: text, signature })
        }
    })
}

/// The API takes PDF in base64, and text as text.
fn document<'a>(media_type: &'a str, data: &'a str) -> Result<Source<'a>, LlmError> {
    if media_type == "application/pdf" {
        return Ok(Source::Base64 { media_type, data });
    }
    if !media_type.starts_with("text/") {
        let message =
            format!("documents of type {media_type:?} are not accepted; send application/pdf or text");
        return Err(failure(ErrorClass::Invalid, message));
    }
    let text = BASE64.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let data = text.ok_or_else(|| failure(ErrorClass::Invalid, "a text document is not UTF-8 in base64"))?;
    Ok(Source::Text { media_type: "text/plain", data })
}

/// The API takes ids of letters, digits, `_` and `-`; calls that another provider named may have others.
fn wire_id(id: &CallId) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.as_str().chars().all(allowed) {
        return Cow::Borrowed(id.as_str());
    }
    Cow::Owned(id.as_str().chars().map(|c| if allowed(c) { c } else { '_' }).collect())
}
