//! A request as Chat Completions wants it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use loom_llm::{CompletionRequest, ContentBlock, Role, ToolDefinition, alternating, tool_arguments};
use serde::Serialize;
use serde_json::Value;

/// The field that a server reads the output limit from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimitField {
    /// OpenAI's own since its reasoning models, which refuse the older one.
    MaxCompletionTokens,
    /// The older one, which most compatible servers read.
    MaxTokens,
}

/// A part of a request that the protocol cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("a text document is not UTF-8 in base64")]
    TextDocument,
}

/// The body of a request. It borrows the large parts of what it is made from.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    /// Not OpenAI's, which refuses it by name; several compatible servers read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Message<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Cow<'a, str>,
    },
}

/// A lone text stays a text: not every compatible server reads parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text {
        text: Cow<'a, str>,
    },
    #[serde(rename = "image_url")]
    Image {
        image_url: ImageUrl,
    },
    File {
        file: File<'a>,
    },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    file_data: String,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Call<'a>,
}

#[derive(Serialize)]
struct Call<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> Body<'a> {
    pub(crate) fn new(request: &'a CompletionRequest, limit: OutputLimitField) -> Result<Self, RequestError> {
        let system = Some(&*request.system).filter(|text| !text.trim().is_empty());
        let mut messages: Vec<_> = system.map(|content| Message::System { content }).into_iter().collect();
        for (role, blocks) in alternating(&request.messages) {
            match role {
                Role::User => user(&blocks, &mut messages)?,
                Role::Assistant => messages.extend(assistant(&blocks)),
            }
        }
        let limit_in = |field| (limit == field).then_some(request.max_output_tokens);
        Ok(Self {
            model: &request.model,
            messages,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            max_completion_tokens: limit_in(OutputLimitField::MaxCompletionTokens),
            max_tokens: limit_in(OutputLimitField::MaxTokens),
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
            top_k: request.sampling.top_k,
            stop: &request.sampling.stop_sequences,
            tools: request.tools.iter().map(Tool::from).collect(),
        })
    }
}

impl<'a> From<&'a ToolDefinition> for Tool<'a> {
    fn from(tool: &'a ToolDefinition) -> Self {
        let function =
            Function { name: &tool.name, description: &tool.description, parameters: &tool.input_schema };
        Self { kind: "function", function }
    }
}

/// Each tool result is a message of its own; the rest of the user's turn is one.
fn user<'a>(blocks: &[&'a ContentBlock], messages: &mut Vec<Message<'a>>) -> Result<(), RequestError> {
    let mut parts = Vec::new();
    for block in blocks {
        match block {
            ContentBlock::ToolResult { id, content, is_error } => {
                // The protocol has no field for it.
                let content =
                    if *is_error { format!("error: {content}").into() } else { (&**content).into() };
                messages.push(Message::Tool { tool_call_id: id.as_str(), content });
            }
            other => parts.extend(part(other)?),
        }
    }
    let content = match <[Part<'_>; 1]>::try_from(parts) {
        Ok([Part::Text { text }]) => Content::Text(text),
        Ok(one) => Content::Parts(one.into()),
        Err(parts) if parts.is_empty() => return Ok(()),
        Err(parts) => Content::Parts(parts),
    };
    messages.push(Message::User { content });
    Ok(())
}

fn part(block: &ContentBlock) -> Result<Option<Part<'_>>, RequestError> {
    Ok(match block {
        ContentBlock::Text { text } if text.is_empty() => None,
        ContentBlock::Text { text } => Some(Part::Text { text: (&**text).into() }),
        ContentBlock::Image { media_type, data } => {
            Some(Part::Image { image_url: ImageUrl { url: data_url(media_type, data) } })
        }
        ContentBlock::Document { media_type, data, .. } if media_type.starts_with("text/") => {
            let text = BASE64.decode(&**data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(Part::Text { text: text.ok_or(RequestError::TextDocument)?.into() })
        }
        ContentBlock::Document { media_type, data, title } => {
            let filename = title.as_deref().unwrap_or("document");
            Some(Part::File { file: File { filename, file_data: data_url(media_type, data) } })
        }
        // Calls and thinking are the model's; in a user's turn they have no meaning.
        ContentBlock::ToolUse { .. } | ContentBlock::ToolResult { .. } | ContentBlock::Thinking { .. } => {
            None
        }
    })
}

/// Texts and calls; the protocol does not take thinking back.
fn assistant<'a>(blocks: &[&'a ContentBlock]) -> Option<Message<'a>> {
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block.as_text()).collect();
    let content = match texts[..] {
        [] => None,
        [text] => Some(Cow::Borrowed(text)),
        _ => Some(texts.join("\n").into()),
    };
    let tool_calls: Vec<_> = blocks.iter().filter_map(|block| tool_call(block)).collect();
    (content.is_some() || !tool_calls.is_empty()).then_some(Message::Assistant { content, tool_calls })
}

fn tool_call(block: &ContentBlock) -> Option<ToolCall<'_>> {
    let ContentBlock::ToolUse { id, name, input } = block else { return None };
    let function = Call { name, arguments: tool_arguments(input).to_string() };
    Some(ToolCall { id: id.as_str(), kind: "function", function })
}

fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}
