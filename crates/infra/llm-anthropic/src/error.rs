//! Failures of an exchange, in Loom's terms.

use loom_base::Secret;
use loom_http_client::{Error, Response, excerpt};
use loom_llm::{ErrorClass, LlmError};
use serde::Deserialize;

pub(crate) const NAME: &str = "anthropic";

/// Errors are a few hundred bytes; a page of a proxy in between is not read to its end.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const CURE: &str = "configure a valid anthropic_api_key";

/// A failure of `class` in our own words.
pub(crate) fn failure(class: ErrorClass, message: impl Into<String>) -> LlmError {
    LlmError::new(NAME, class, message)
}

/// A failure of the connection.
pub(crate) fn http(error: &Error) -> LlmError {
    let class = match error {
        Error::Deadline { .. } => ErrorClass::Deadline,
        Error::Connect { .. } | Error::Broken { .. } | Error::Silent { .. } => ErrorClass::Transient,
        Error::TooLarge { .. } => ErrorClass::Malformed,
        Error::Setup { .. } | Error::Request { .. } => ErrorClass::Invalid,
    };
    failure(class, error.to_string())
}

/// Turns what the provider reports into errors that cannot show the key.
pub(crate) struct Failures {
    key: Secret,
}

#[derive(Deserialize)]
pub(crate) struct ErrorObject {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    error_code: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

impl Failures {
    pub(crate) const fn new(key: Secret) -> Self {
        Self { key }
    }

    /// The failure that an event in the middle of an answer reports.
    pub(crate) fn event(&self, error: &ErrorObject) -> LlmError {
        self.reported(None, error)
    }

    /// The failure that an answer other than 2xx reports.
    pub(crate) async fn rejection(&self, response: Response) -> LlmError {
        let (status, wait) = (response.status().as_u16(), response.retry_after());
        let body = match response.bytes(MAX_ERROR_BYTES).await {
            Err(error @ Error::Deadline { .. }) => return http(&error),
            Err(_) => Vec::new(),
            Ok(body) => body,
        };
        let error = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => self.reported(Some(status), &body.error),
            Err(_) => failure(ErrorClass::of_http_status(status), unexplained(status)),
        };
        error.retry_after(wait)
    }

    fn reported(&self, status: Option<u16>, error: &ErrorObject) -> LlmError {
        let class = classify(status, error);
        let status = status.map_or_else(String::new, |status| format!("HTTP {status}, "));
        let kind = excerpt(&error.kind, Some(&self.key));
        let said = excerpt(&error.message, Some(&self.key));
        match class {
            ErrorClass::Auth => failure(class, format!("the key was rejected ({status}{kind}); {CURE}")),
            _ => failure(class, format!("{said} ({status}{kind})")),
        }
    }
}

fn unexplained(status: u16) -> String {
    match status {
        300..=399 => format!("HTTP {status}: redirects are not followed; check the base URL"),
        401 | 403 => format!("the key was rejected (HTTP {status}); {CURE}"),
        404 | 405 => format!("HTTP {status}: there is no Messages API at this address; check the base URL"),
        _ => format!("HTTP {status} without an explanation"),
    }
}

/// The class by `error.type`, then by what distinguishes the causes that share a type.
fn classify(status: Option<u16>, error: &ErrorObject) -> ErrorClass {
    let message = error.message.to_lowercase();
    let says = |text: &str| message.contains(text);
    let spent = error.details.as_ref().and_then(|details| details.error_code.as_deref())
        == Some("enforced_spend_limit_reached");
    match error.kind.as_str() {
        _ if spent => ErrorClass::Quota,
        "authentication_error" | "permission_error" => ErrorClass::Auth,
        "billing_error" => ErrorClass::Quota,
        "rate_limit_error" => ErrorClass::RateLimited,
        "overloaded_error" | "api_error" | "timeout_error" => ErrorClass::Transient,
        "request_too_large" => ErrorClass::ContextTooLong,
        "not_found_error" if says("model") => ErrorClass::UnknownModel,
        "invalid_request_error" if says("prompt is too long") || says("exceed context limit") => {
            ErrorClass::ContextTooLong
        }
        "invalid_request_error" if says("credit balance is too low") || says("usage limits") => {
            ErrorClass::Quota
        }
        "invalid_request_error" | "not_found_error" => ErrorClass::Invalid,
        _ => status.map_or(ErrorClass::Transient, ErrorClass::of_http_status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, kind: &str, message: &str) -> ErrorClass {
        let error = ErrorObject { kind: kind.into(), message: message.into(), details: None };
        classify(Some(status), &error)
    }

    #[test]
    fn causes_that_share_a_type_are_told_apart() {
        let invalid = "invalid_request_error";
        let rows = [
            (400, invalid, "prompt is too long: 210000 tokens > 200000 maximum", ErrorClass::ContextTooLong),
            (
                400,
                invalid,
                "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
                ErrorClass::ContextTooLong,
            ),
            (400, invalid, "Your credit balance is too low to access the Anthropic API.", ErrorClass::Quota),
            (400, invalid, "max_tokens: Field required", ErrorClass::Invalid),
            (403, "permission_error", "no", ErrorClass::Auth),
            (404, "not_found_error", "model: claude-9", ErrorClass::UnknownModel),
            (404, "not_found_error", "Not Found", ErrorClass::Invalid),
            (413, "request_too_large", "Request exceeds the maximum size", ErrorClass::ContextTooLong),
            (529, "overloaded_error", "Overloaded", ErrorClass::Transient),
            (500, "an_error_of_the_future", "?", ErrorClass::Transient),
            (418, "an_error_of_the_future", "?", ErrorClass::Invalid),
        ];
        for (status, kind, message, expected) in rows {
            assert_eq!(class(status, kind, message), expected, "{status} {kind} {message}");
        }
    }

    #[test]
    fn a_spend_limit_is_no_rate_limit() {
        let details = Some(Details { error_code: Some("enforced_spend_limit_reached".into()) });
        let error = ErrorObject { kind: "rate_limit_error".into(), message: "spent".into(), details };
        assert_eq!(classify(Some(429), &error), ErrorClass::Quota);
    }
}
