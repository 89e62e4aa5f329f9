//! OpenAI's Chat Completions as they look on the wire: what they refuse, and the chunks they stream.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use loom_llm::FinishReason;
use serde_json::{Value, json};

use crate::API_KEY;
use crate::anthropic::cut;
use crate::reply::{Answer, Failure, Part};

/// How a server streams a tool call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolCalls {
    /// As OpenAI does: id and name first, then the arguments bit by bit.
    InPieces,
    /// As Ollama does: the whole call in one chunk.
    Whole,
}

pub(crate) fn check_key(headers: &HeaderMap) -> Result<(), Failure> {
    let expected = format!("Bearer {API_KEY}");
    match headers.get(AUTHORIZATION) {
        Some(key) if key.as_bytes() == expected.as_bytes() => Ok(()),
        Some(_) => Err(Failure::new(401, "invalid_api_key", "Incorrect API key provided: te*****ey.")),
        None => Err(Failure::new(401, "invalid_api_key", "You didn't provide an API key.")),
    }
}

/// What the API would refuse, with its own words.
pub(crate) fn check(body: &Value) -> Result<(), Failure> {
    let invalid = |message: &str| Err(Failure::new(400, "invalid_request_error", message));
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return invalid("Invalid 'messages': empty array. Expected an array with minimum length 1.");
    };
    if body["stream"] != true {
        return invalid("this fake only streams");
    }
    let mut owed: Vec<&str> = Vec::new();
    for message in messages {
        if message["role"] == "tool" {
            let before = owed.len();
            owed.retain(|id| message["tool_call_id"] != *id);
            if owed.len() == before {
                return invalid("messages with role 'tool' must be a response to a preceding 'tool_calls'");
            }
            continue;
        }
        if !owed.is_empty() {
            return invalid("An assistant message with 'tool_calls' must be followed by tool messages");
        }
        for call in message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let Some(id) = call["id"].as_str().filter(|_| call["function"]["arguments"].is_string()) else {
                return invalid("Invalid type for 'messages[].tool_calls[].function.arguments'");
            };
            owed.push(id);
        }
    }
    Ok(())
}

pub(crate) fn unknown_model(model: &str) -> Failure {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    Failure::new(404, "model_not_found", message)
}

pub(crate) fn unpulled_model(model: &str) -> Failure {
    Failure::new(404, "api_error", format!("model \"{model}\" not found, try pulling it first"))
}

pub(crate) fn failure_body(code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}})
}

/// The chunks of an answer, in the order and shape of the API.
pub(crate) fn events(model: &str, answer: &Answer, tool_calls: ToolCalls) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        events.push(chunk(model, &json!([choice]), &Value::Null));
    };
    push(json!({"role": "assistant", "content": "", "refusal": null}), None);
    let mut calls = 0;
    for part in &answer.parts {
        match part {
            Part::Text(text) => {
                for delta in cut(text) {
                    push(json!({"content": delta}), None);
                }
            }
            Part::Thinking { text, .. } => {
                for delta in cut(text) {
                    push(json!({"reasoning": delta}), None);
                }
            }
            Part::ToolCall { id, name, arguments } => {
                for call in call_deltas(calls, [id, name, arguments], tool_calls) {
                    push(json!({"tool_calls": [call]}), None);
                }
                calls += 1;
            }
        }
    }
    if let Some((code, message)) = &answer.error {
        events.push(event(&failure_body(code, message)));
        return events;
    }
    push(json!({}), Some(finish_reason(answer.finish)));
    events.push(chunk(model, &json!([]), &usage(answer)));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn call_deltas(index: usize, [id, name, arguments]: [&str; 3], tool_calls: ToolCalls) -> Vec<Value> {
    let whole = |arguments: &str| {
        json!({
            "index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
        })
    };
    match tool_calls {
        ToolCalls::Whole => vec![whole(arguments)],
        ToolCalls::InPieces => {
            let rest = cut(arguments).into_iter();
            let rest = rest.map(|delta| json!({"index": index, "function": {"arguments": delta}}));
            std::iter::once(whole("")).chain(rest).collect()
        }
    }
}

fn chunk(model: &str, choices: &Value, usage: &Value) -> String {
    event(&json!({
        "id": "chatcmpl-BfYVCs3gBXUAWpLkIr0vGgD5", "object": "chat.completion.chunk", "created": 1_767_225_600,
        "model": model, "service_tier": "default", "choices": choices, "usage": usage,
    }))
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let prompt = usage.input + usage.cache_read;
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output, "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

/// The API has no reason of its own for a stop sequence.
const fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::StopSequence => "stop",
        FinishReason::ToolUse => "tool_calls",
        FinishReason::MaxTokens => "length",
        FinishReason::Refusal => "content_filter",
    }
}
