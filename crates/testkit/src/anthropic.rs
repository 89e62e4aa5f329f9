//! Anthropic's Messages API as it looks on the wire: what it refuses, and the events it streams.

use axum::http::HeaderMap;
use loom_llm::FinishReason;
use serde_json::{Value, json};

use crate::API_KEY;
use crate::reply::{Answer, Failure, Part};

pub(crate) const KEY_HEADER: &str = "x-api-key";

/// Characters in one text delta.
const DELTA_CHARS: usize = 7;
/// The API takes this many cache breakpoints.
const MAX_BREAKPOINTS: usize = 4;

/// What the API would refuse, with its own words.
pub(crate) fn check(headers: &HeaderMap, body: &Value) -> Result<(), Failure> {
    if headers.get(KEY_HEADER).is_none_or(|key| key.as_bytes() != API_KEY.as_bytes()) {
        return Err(Failure::new(401, "authentication_error", "invalid x-api-key"));
    }
    let invalid = |message: &str| Err(Failure::new(400, "invalid_request_error", message));
    if !headers.contains_key("anthropic-version") {
        return invalid("anthropic-version: header is required");
    }
    if body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        return invalid("max_tokens: Field required");
    }
    if body["stream"] != true {
        return invalid("this fake only streams");
    }
    if body.to_string().matches("\"cache_control\"").count() > MAX_BREAKPOINTS {
        return invalid("A maximum of 4 blocks with cache_control may be provided.");
    }
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    match messages_error(messages) {
        Some(message) => invalid(&message),
        None => Ok(()),
    }
}

fn messages_error(messages: &[Value]) -> Option<String> {
    let first = messages.first();
    if first.is_none_or(|message| message["role"] != "user") {
        return Some("messages: first message must use the \"user\" role".into());
    }
    for (index, pair) in messages.windows(2).enumerate() {
        if pair[0]["role"] == pair[1]["role"] {
            return Some("messages: roles must alternate between \"user\" and \"assistant\"".into());
        }
        let answered = blocks(&pair[1], "tool_result", "tool_use_id");
        if blocks(&pair[0], "tool_use", "id").iter().any(|id| !answered.contains(id)) {
            return Some(format!("messages.{index}: `tool_use` ids were found without `tool_result` blocks"));
        }
    }
    let texts = messages.iter().flat_map(|message| blocks(message, "text", "text"));
    if texts.into_iter().any(str::is_empty) {
        return Some("messages: text content blocks must be non-empty".into());
    }
    let inputs = messages.iter().flat_map(content).filter(|block| block["type"] == "tool_use");
    if inputs.into_iter().any(|block| !block["input"].is_object()) {
        return Some("tool_use.input: Input should be a valid dictionary".into());
    }
    None
}

fn content(message: &Value) -> &[Value] {
    message["content"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn blocks<'a>(message: &'a Value, kind: &str, field: &str) -> Vec<&'a str> {
    content(message)
        .iter()
        .filter(|block| block["type"] == kind)
        .filter_map(|block| block[field].as_str())
        .collect()
}

pub(crate) fn unknown_model(model: &str) -> Failure {
    Failure::new(404, "not_found_error", format!("model: {model}"))
}

pub(crate) fn failure_body(kind: &str, message: &str) -> Value {
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
    })
}

/// The events of an answer, in the order and shape of the API.
pub(crate) fn events(model: &str, answer: &Answer) -> Vec<String> {
    let usage = answer.usage;
    let counts = json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "service_tier": "standard",
    });
    let mut events = vec![event(
        "message_start",
        json!({"message": {
            "model": model, "id": "msg_01UodR8c3ezAK8rAfi8HAs8g", "type": "message", "role": "assistant",
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": counts,
        }}),
    )];
    for (index, part) in answer.parts.iter().enumerate() {
        block(index, part, &mut events);
        if index == 0 {
            events.insert(2, event("ping", json!({})));
        }
    }
    if let Some((kind, message)) = &answer.error {
        events.push(event("error", failure_body(kind, message)));
        return events;
    }
    events.push(event(
        "message_delta",
        json!({
            "delta": {"stop_reason": stop_reason(answer.finish), "stop_sequence": null},
            "usage": {
                "input_tokens": usage.input, "cache_creation_input_tokens": usage.cache_write,
                "cache_read_input_tokens": usage.cache_read, "output_tokens": usage.output,
            },
        }),
    ));
    events.push(event("message_stop", json!({})));
    events
}

fn block(index: usize, part: &Part, events: &mut Vec<String>) {
    let start = match part {
        Part::Text(_) => json!({"type": "text", "text": ""}),
        Part::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Part::ToolCall { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
    };
    let mut push = |kind: &str, rest: Value| events.push(event(kind, merge(json!({"index": index}), rest)));
    push("content_block_start", json!({"content_block": start}));
    match part {
        Part::Text(text) => {
            for delta in cut(text) {
                push("content_block_delta", json!({"delta": {"type": "text_delta", "text": delta}}));
            }
        }
        Part::Thinking { text, signature } => {
            for delta in cut(text) {
                push("content_block_delta", json!({"delta": {"type": "thinking_delta", "thinking": delta}}));
            }
            push(
                "content_block_delta",
                json!({"delta": {"type": "signature_delta", "signature": signature}}),
            );
        }
        Part::ToolCall { arguments, .. } => {
            push("content_block_delta", json!({"delta": {"type": "input_json_delta", "partial_json": ""}}));
            for delta in cut(arguments) {
                push(
                    "content_block_delta",
                    json!({"delta": {"type": "input_json_delta", "partial_json": delta}}),
                );
            }
        }
    }
    push("content_block_stop", json!({}));
}

fn event(kind: &str, fields: Value) -> String {
    let data = merge(json!({"type": kind}), fields);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn merge(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// The text in the small pieces that models stream.
pub(crate) fn cut(text: &str) -> Vec<String> {
    let chars: Vec<_> = text.chars().collect();
    chars.chunks(DELTA_CHARS).map(|piece| piece.iter().collect()).collect()
}

const fn stop_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "end_turn",
        FinishReason::ToolUse => "tool_use",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Refusal => "refusal",
    }
}
