//! The Gemini API as it looks on the wire: what it refuses, and the events it streams.

use axum::http::HeaderMap;
use loom_llm::FinishReason;
use serde_json::{Value, json};

use crate::API_KEY;
use crate::anthropic::cut;
use crate::reply::{Answer, Failure, Part};

pub(crate) const KEY_HEADER: &str = "x-goog-api-key";

const PREFIX: &str = "/v1beta/models/";
const METHOD: &str = ":streamGenerateContent";
const WRONG_KEY: &str = "API key not valid. Please pass a valid API key.";

/// The model that a path asks, when it is one of this API.
pub(crate) fn model(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)?.strip_suffix(METHOD)
}

/// What the API would refuse, with its own words.
pub(crate) fn check(headers: &HeaderMap, query: &str, body: &Value) -> Result<(), Failure> {
    if headers.get(KEY_HEADER).is_none_or(|key| key.as_bytes() != API_KEY.as_bytes()) {
        return Err(Failure::new(400, "INVALID_ARGUMENT", WRONG_KEY));
    }
    let invalid = |message: &str| Err(Failure::new(400, "INVALID_ARGUMENT", message));
    if query != "alt=sse" {
        return invalid("this fake only streams events");
    }
    let Some(contents) = body["contents"].as_array().filter(|contents| !contents.is_empty()) else {
        return invalid("* GenerateContentRequest.contents: contents is not specified");
    };
    if contents.iter().any(|content| parts(content).is_empty()) {
        return invalid("* GenerateContentRequest.contents.parts: must not be empty");
    }
    for pair in contents.windows(2) {
        let (calls, responses) = (named(&pair[0], "functionCall"), named(&pair[1], "functionResponse"));
        if !calls.is_empty() && calls != responses {
            return invalid(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            );
        }
    }
    Ok(())
}

fn parts(content: &Value) -> &[Value] {
    content["parts"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn named<'a>(content: &'a Value, kind: &str) -> Vec<&'a str> {
    parts(content).iter().filter_map(|part| part[kind]["name"].as_str()).collect()
}

pub(crate) fn unknown_model(model: &str) -> Failure {
    let message = format!("models/{model} is not found for API version v1beta, or is not supported.");
    Failure::new(404, "NOT_FOUND", message)
}

/// A `google.rpc.Status`.
pub(crate) fn failure_body(code: u16, status: &str, message: &str) -> Value {
    let info = "type.googleapis.com/google.rpc.ErrorInfo";
    let details = if message == WRONG_KEY {
        json!([{"@type": info, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}])
    } else {
        json!([])
    };
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
}

/// The events of an answer, in the order and shape of the API: text in pieces, calls whole, the reason last.
pub(crate) fn events(model: &str, answer: &Answer) -> Vec<String> {
    let mut events = vec![event(model, answer, &json!({"text": ""}), None)];
    let mut signature: Option<&str> = None;
    for part in &answer.parts {
        match part {
            Part::Text(text) => {
                let pieces = cut(text).into_iter().map(|piece| json!({"text": piece}));
                events.extend(pieces.map(|piece| event(model, answer, &piece, None)));
            }
            Part::Thinking { text, signature: signed } => {
                events.push(event(model, answer, &json!({"text": text, "thought": true}), None));
                signature = Some(signed);
            }
            Part::ToolCall { id, name, arguments } => {
                let args: Value = serde_json::from_str(arguments).unwrap_or_default();
                let mut call = json!({"functionCall": {"id": id, "name": name, "args": args}});
                if let Some(signature) = signature.take() {
                    call["thoughtSignature"] = signature.into();
                }
                events.push(event(model, answer, &call, None));
            }
        }
    }
    if let Some((status, message)) = &answer.error {
        events.push(data(&failure_body(503, status, message)));
        return events;
    }
    let mut last = json!({"text": ""});
    if let Some(signature) = signature {
        last["thoughtSignature"] = signature.into();
    }
    events.push(event(model, answer, &last, Some(finish_reason(answer.finish))));
    events
}

fn event(model: &str, answer: &Answer, part: &Value, finish: Option<&str>) -> String {
    let usage = answer.usage;
    let prompt = usage.input + usage.cache_read;
    let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    data(&json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": prompt, "candidatesTokenCount": usage.output, "totalTokenCount": prompt + usage.output,
            "cachedContentTokenCount": usage.cache_read,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        },
        "modelVersion": model,
        "responseId": "xRS0aZC5BNHVz7IPuaO42Qk",
    }))
}

fn data(data: &Value) -> String {
    format!("data: {data}\r\n\r\n")
}

/// The API says `STOP` after calls and at a stop sequence too.
const fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolUse => "STOP",
        FinishReason::MaxTokens => "MAX_TOKENS",
        FinishReason::Refusal => "SAFETY",
    }
}
