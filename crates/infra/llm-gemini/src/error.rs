//! Failures of an exchange, in Loom's terms.

use std::time::Duration;

use loom_base::Secret;
use loom_http_client::{Error, Response, excerpt};
use loom_llm::{ErrorClass, LlmError};
use serde::Deserialize;

pub(crate) const NAME: &str = "gemini";

/// Errors are a few kilobytes; a page of a proxy in between is not read to its end.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const CURE: &str = "configure a valid gemini_api_key";

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

/// A `google.rpc.Status` as JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reported {
    message: String,
    /// The name of a `google.rpc.Code`.
    status: String,
    details: Vec<Detail>,
}

/// What is used of the kinds of details: `ErrorInfo`, `RetryInfo` and `QuotaFailure`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: String,
    /// A number of seconds with an `s` behind it.
    retry_delay: String,
    violations: Vec<Violation>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Violation {
    quota_id: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Reported,
}

impl Failures {
    pub(crate) const fn new(key: Secret) -> Self {
        Self { key }
    }

    /// The failure that an event in the middle of an answer reports.
    pub(crate) fn event(&self, error: &Reported) -> LlmError {
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
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => self.reported(Some(status), &body.error).retry_after(wait.or(body.error.wait())),
            Err(_) => failure(ErrorClass::of_http_status(status), unexplained(status)).retry_after(wait),
        }
    }

    fn reported(&self, http: Option<u16>, error: &Reported) -> LlmError {
        let class = classify(http, error);
        let status = excerpt(&error.status, Some(&self.key));
        let place = [http.map(|http| format!("HTTP {http}")), Some(status).filter(|text| !text.is_empty())];
        let place = place.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let said = excerpt(&error.message, Some(&self.key));
        match class {
            ErrorClass::Auth => failure(class, format!("the key was rejected ({place}); {CURE}")),
            _ => failure(class, format!("{said} ({place})")).retry_after(error.wait()),
        }
    }
}

impl Reported {
    /// How long the provider asks to wait.
    fn wait(&self) -> Option<Duration> {
        let delays = self.details.iter().filter_map(|detail| detail.retry_delay.strip_suffix('s'));
        delays
            .filter_map(|seconds| seconds.parse().ok())
            .find_map(|s: f64| Duration::try_from_secs_f64(s).ok())
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.details.iter().any(|detail| detail.reason == reason)
    }

    /// Whether a quota of the day, not of the minute, is used up.
    fn is_of_the_day(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|detail| &detail.violations);
        violations.any(|violation| violation.quota_id.contains("PerDay"))
    }
}

fn unexplained(status: u16) -> String {
    match status {
        300..=399 => format!("HTTP {status}: redirects are not followed; check the base URL"),
        401 | 403 => format!("the key was rejected (HTTP {status}); {CURE}"),
        404 | 405 => format!("HTTP {status}: there is no Gemini API at this address; check the base URL"),
        _ => format!("HTTP {status} without an explanation"),
    }
}

/// The class by the status, then by what distinguishes the causes that share one.
fn classify(http: Option<u16>, error: &Reported) -> ErrorClass {
    let message = error.message.to_lowercase();
    let says = |text: &str| message.contains(text);
    match error.status.as_str() {
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => ErrorClass::Auth,
        // A wrong key is reported as a wrong argument.
        "INVALID_ARGUMENT" if error.has_reason("API_KEY_INVALID") || says("api key not valid") => {
            ErrorClass::Auth
        }
        "INVALID_ARGUMENT" if says("token count") && says("exceeds the maximum") => {
            ErrorClass::ContextTooLong
        }
        "RESOURCE_EXHAUSTED" if error.is_of_the_day() => ErrorClass::Quota,
        "RESOURCE_EXHAUSTED" => ErrorClass::RateLimited,
        "NOT_FOUND" if says("model") => ErrorClass::UnknownModel,
        "UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED" | "ABORTED" | "CANCELLED" | "UNKNOWN" => {
            ErrorClass::Transient
        }
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "NOT_FOUND" | "OUT_OF_RANGE" | "UNIMPLEMENTED" => {
            ErrorClass::Invalid
        }
        _ => http.map_or(ErrorClass::Transient, ErrorClass::of_http_status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reported(status: &str, message: &str, details: Value) -> Reported {
        let details = serde_json::from_value(details).unwrap();
        Reported { status: status.into(), message: message.into(), details }
    }

    #[test]
    fn causes_that_share_a_status_are_told_apart() {
        let too_long =
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
        let of = |quota: &str| json!([{"violations": [{"quotaId": quota}]}]);
        let rows = [
            (400, reported("INVALID_ARGUMENT", "API key not valid.", json!([])), ErrorClass::Auth),
            (
                400,
                reported("INVALID_ARGUMENT", "no", json!([{"reason": "API_KEY_INVALID"}])),
                ErrorClass::Auth,
            ),
            (400, reported("INVALID_ARGUMENT", too_long, json!([])), ErrorClass::ContextTooLong),
            (400, reported("INVALID_ARGUMENT", "contents is not specified", json!([])), ErrorClass::Invalid),
            (403, reported("PERMISSION_DENIED", "no", json!([])), ErrorClass::Auth),
            (
                404,
                reported("NOT_FOUND", "models/x is not found for API version v1beta", json!([])),
                ErrorClass::UnknownModel,
            ),
            (
                429,
                reported("RESOURCE_EXHAUSTED", "quota", of("GenerateRequestsPerMinutePerProject")),
                ErrorClass::RateLimited,
            ),
            (
                429,
                reported("RESOURCE_EXHAUSTED", "quota", of("GenerateRequestsPerDayPerProject")),
                ErrorClass::Quota,
            ),
            (503, reported("UNAVAILABLE", "The model is overloaded.", json!([])), ErrorClass::Transient),
            (500, reported("", "?", json!([])), ErrorClass::Transient),
        ];
        for (status, error, class) in rows {
            assert_eq!(classify(Some(status), &error), class, "{status} {}", error.message);
        }
    }

    #[test]
    fn the_wait_is_in_the_details() {
        let of = |delay: &str| reported("RESOURCE_EXHAUSTED", "q", json!([{"retryDelay": delay}])).wait();
        assert_eq!(of("36.5s"), Some(Duration::from_millis(36_500)));
        assert_eq!((of("soon"), of("-1s"), of("NaNs")), (None, None, None));
    }
}
