//! Failures of an exchange, in Loom's terms.

use loom_base::Secret;
use loom_http_client::{Error, Response, excerpt};
use loom_llm::{ErrorClass, LlmError};
use serde_json::Value;

/// Errors are a few hundred bytes; a page of a proxy in between is not read to its end.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Turns failures into errors that carry the provider's name and cannot show its key.
pub(crate) struct Failures {
    name: String,
    key: Option<Secret>,
}

/// What a server says went wrong. Each writes it its own way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reported {
    /// The most exact of `code` and `type`.
    code: String,
    message: String,
}

impl Failures {
    pub(crate) const fn new(name: String, key: Option<Secret>) -> Self {
        Self { name, key }
    }

    /// A failure of `class` in our own words.
    pub(crate) fn failure(&self, class: ErrorClass, message: impl Into<String>) -> LlmError {
        LlmError::new(self.name.as_str(), class, message)
    }

    /// A failure of the connection.
    pub(crate) fn http(&self, error: &Error) -> LlmError {
        let class = match error {
            Error::Deadline { .. } => ErrorClass::Deadline,
            Error::Connect { .. } | Error::Broken { .. } | Error::Silent { .. } => ErrorClass::Transient,
            Error::TooLarge { .. } => ErrorClass::Malformed,
            Error::Setup { .. } | Error::Request { .. } => ErrorClass::Invalid,
        };
        self.failure(class, error.to_string())
    }

    /// The failure that an event in the middle of an answer reports: the value of its `error`.
    pub(crate) fn event(&self, error: &Value) -> LlmError {
        self.reported(None, &Reported::of(error))
    }

    /// The failure that an answer other than 2xx reports.
    pub(crate) async fn rejection(&self, response: Response) -> LlmError {
        let (status, wait) = (response.status().as_u16(), response.retry_after());
        let body = match response.bytes(MAX_ERROR_BYTES).await {
            Err(error @ Error::Deadline { .. }) => return self.http(&error),
            Err(_) => Vec::new(),
            Ok(body) => body,
        };
        let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let reported = Reported::of(body.get("error").filter(|error| !error.is_null()).unwrap_or(&body));
        self.reported(Some(status), &reported).retry_after(wait)
    }

    fn reported(&self, status: Option<u16>, reported: &Reported) -> LlmError {
        let class = classify(status, reported);
        let said = excerpt(&reported.message, self.key.as_ref());
        let code = excerpt(&reported.code, self.key.as_ref());
        let place =
            [status.map(|status| format!("HTTP {status}")), Some(code).filter(|code| !code.is_empty())];
        let place = place.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let message = match (class, status, said.as_str()) {
            (ErrorClass::Auth, ..) => {
                format!("the key was rejected ({place}); configure a valid key for {}", self.name)
            }
            (_, Some(300..=399), _) => format!("{place}: redirects are not followed; check the base URL"),
            (ErrorClass::Invalid, Some(404 | 405), "") => {
                format!("{place}: there are no Chat Completions at this address; check the base URL")
            }
            (_, _, "") => format!("{place} without an explanation"),
            _ => format!("{said} ({place})"),
        };
        self.failure(class, message)
    }
}

impl Reported {
    /// `{"message", "type", "code"}` as OpenAI has it, `{"detail"}` as Python servers do, or a mere text.
    fn of(error: &Value) -> Self {
        let text = |field: &str| error[field].as_str().unwrap_or_default();
        let code = match &error["code"] {
            Value::String(code) => code.clone(),
            _ => text("type").to_owned(),
        };
        let said = [error.as_str().unwrap_or_default(), text("message"), text("detail")];
        let message = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default().to_owned();
        Self { code, message }
    }
}

/// The class by the code, then by what compatible servers say in words, then by the status.
fn classify(status: Option<u16>, reported: &Reported) -> ErrorClass {
    let message = reported.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match reported.code.as_str() {
        "invalid_api_key" | "authentication_error" | "permission_error" => return ErrorClass::Auth,
        "insufficient_quota" | "billing_hard_limit_reached" => return ErrorClass::Quota,
        "model_not_found" => return ErrorClass::UnknownModel,
        "context_length_exceeded" | "exceed_context_size_error" => return ErrorClass::ContextTooLong,
        "rate_limit_exceeded" | "rate_limit_error" => return ErrorClass::RateLimited,
        "server_error" | "overloaded_error" | "internal_error" => return ErrorClass::Transient,
        _ => {}
    }
    let too_long = ["maximum context length", "context window", "context length", "available context size"];
    match status {
        Some(404) if says(&["model"]) => ErrorClass::UnknownModel,
        Some(400 | 422) | None if says(&too_long) => ErrorClass::ContextTooLong,
        Some(status) => ErrorClass::of_http_status(status),
        None => ErrorClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn servers_report_failures_in_their_own_ways() {
        let rows = [
            (
                404,
                json!({"message": "model \"x\" not found, try pulling it first", "type": "api_error", "code": null}),
                ErrorClass::UnknownModel,
            ),
            (404, json!({"detail": "Not Found"}), ErrorClass::Invalid),
            (
                404,
                json!({"object": "error", "message": "The model `x` does not exist.", "code": 404}),
                ErrorClass::UnknownModel,
            ),
            (
                429,
                json!({"message": "You exceeded your current quota", "code": "insufficient_quota"}),
                ErrorClass::Quota,
            ),
            (429, json!({"message": "slow down", "code": "rate_limit_exceeded"}), ErrorClass::RateLimited),
            (
                400,
                json!({"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}),
                ErrorClass::ContextTooLong,
            ),
            (400, json!("This model's maximum context length is 8192 tokens"), ErrorClass::ContextTooLong),
            (400, json!({"message": "Invalid schema", "type": "invalid_request_error"}), ErrorClass::Invalid),
            (401, json!({"message": "no", "code": "invalid_api_key"}), ErrorClass::Auth),
            (
                500,
                json!({"message": "The server had an error", "type": "server_error"}),
                ErrorClass::Transient,
            ),
            (502, Value::Null, ErrorClass::Transient),
        ];
        for (status, error, class) in rows {
            assert_eq!(classify(Some(status), &Reported::of(&error)), class, "{status} {error}");
        }
    }
}
