//! A request as the Gemini API wants it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use loom_base::CallId;
use loom_llm::{
    CompletionRequest, ContentBlock, ErrorClass, LlmError, Message, Role, ToolDefinition, alternating,
    signature, tool_arguments,
};
use serde::Serialize;
use serde_json::Value;

use crate::error::{NAME, failure};

/// The body of a request. It borrows the large parts of what it is made from.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(flatten)]
    data: Data<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Data<'a> {
    Text(&'a str),
    #[serde(rename = "inlineData", rename_all = "camelCase")]
    Inline {
        mime_type: &'a str,
        data: &'a str,
    },
    FunctionCall {
        id: &'a str,
        name: &'a str,
        args: Cow<'a, Value>,
    },
    FunctionResponse {
        id: &'a str,
        name: &'a str,
        response: Response<'a>,
    },
}

/// What a function gave, under the names that the API documents for it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Response<'a> {
    Output(&'a str),
    Error(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

impl<'a> Body<'a> {
    /// The body of `request`.
    pub(crate) fn new(request: &'a CompletionRequest) -> Result<Self, LlmError> {
        let system = Some(&*request.system).filter(|text| !text.trim().is_empty());
        let sampling = &request.sampling;
        let declarations: Vec<_> = request.tools.iter().map(Declaration::from).collect();
        Ok(Self {
            system_instruction: system
                .map(|text| Content { role: None, parts: vec![Data::Text(text).into()] }),
            contents: contents(&request.messages)?,
            tools: if declarations.is_empty() {
                Vec::new()
            } else {
                vec![Tools { function_declarations: declarations }]
            },
            generation_config: GenerationConfig {
                max_output_tokens: request.max_output_tokens,
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                top_k: sampling.top_k,
                stop_sequences: &sampling.stop_sequences,
            },
        })
    }
}

impl<'a> From<&'a ToolDefinition> for Declaration<'a> {
    fn from(tool: &'a ToolDefinition) -> Self {
        Self { name: &tool.name, description: &tool.description, parameters_json_schema: &tool.input_schema }
    }
}

impl<'a> From<Data<'a>> for Part<'a> {
    fn from(data: Data<'a>) -> Self {
        Self { data, thought_signature: None }
    }
}

/// The conversation. A response names its function, which our results do not: their calls do.
fn contents(messages: &[Arc<Message>]) -> Result<Vec<Content<'_>>, LlmError> {
    let calls = messages.iter().flat_map(|message| message.tool_uses());
    let names: BTreeMap<&CallId, &str> = calls.map(|(id, name, _)| (id, name)).collect();
    let mut contents = Vec::new();
    for (role, blocks) in alternating(messages) {
        let parts = parts(&blocks, &names)?;
        if !parts.is_empty() {
            contents.push(Content { role: Some(role_name(role)), parts });
        }
    }
    Ok(contents)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "model",
    }
}

/// The parts of one turn. A signature belongs to the part that followed it.
fn parts<'a>(
    blocks: &[&'a ContentBlock],
    names: &BTreeMap<&CallId, &'a str>,
) -> Result<Vec<Part<'a>>, LlmError> {
    let mut parts = Vec::with_capacity(blocks.len());
    let mut signed = None;
    for block in blocks {
        if let ContentBlock::Thinking { signature: Some(by), .. } = block {
            signed = signature::made_by(NAME, by).or(signed);
        } else if let Some(data) = data(block, names)? {
            parts.push(Part { data, thought_signature: signed.take() });
        }
    }
    parts.extend(signed.map(|signature| Part { data: Data::Text(""), thought_signature: Some(signature) }));
    Ok(parts)
}

/// The block as the API takes it; `None` for empty texts, which it refuses, and for thoughts, which it makes anew.
fn data<'a>(
    block: &'a ContentBlock,
    names: &BTreeMap<&CallId, &'a str>,
) -> Result<Option<Data<'a>>, LlmError> {
    Ok(match block {
        ContentBlock::Text { text } if text.trim().is_empty() => None,
        ContentBlock::Text { text } => Some(Data::Text(text)),
        ContentBlock::Image { media_type, data } => Some(Data::Inline { mime_type: media_type, data }),
        ContentBlock::Document { media_type, data, .. } => {
            Some(Data::Inline { mime_type: document(media_type)?, data })
        }
        ContentBlock::ToolUse { id, name, input } => {
            Some(Data::FunctionCall { id: id.as_str(), name, args: tool_arguments(input) })
        }
        ContentBlock::ToolResult { id, content, is_error } => {
            let name = names.get(id).copied().ok_or_else(|| {
                let message = format!("the result {} belongs to no call of this conversation", id.as_str());
                failure(ErrorClass::Invalid, message)
            })?;
            let response = if *is_error { Response::Error(content) } else { Response::Output(content) };
            Some(Data::FunctionResponse { id: id.as_str(), name, response })
        }
        ContentBlock::Thinking { .. } => None,
    })
}

/// The API reads PDF and text.
fn document(media_type: &str) -> Result<&str, LlmError> {
    if media_type == "application/pdf" || media_type.starts_with("text/") {
        return Ok(media_type);
    }
    let message = format!("documents of type {media_type:?} are not accepted; send application/pdf or text");
    Err(failure(ErrorClass::Invalid, message))
}
