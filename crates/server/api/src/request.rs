//! What the doors find out about a request before anything is done with it.

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use loom_base::{ErrorCode, IdSource};

use crate::Failure;

/// The header that carries the id, in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The metadata under which a client names a request, so that it can send it again.
pub(crate) const IDEMPOTENCY_KEY: &str = "x-loom-idempotency-key";
/// The header by which a client of Server-Sent Events says what it saw last (the HTML standard).
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";
/// The longest id taken over from a caller, in bytes.
const MAX_BYTES: usize = 128;

/// The id under which a request appears in answers and logs. An extension of every request that reaches the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's id when it sent a usable one, otherwise a new one.
    pub(crate) fn of(headers: &HeaderMap, ids: &dyn IdSource) -> Self {
        let usable = |text: &&str| {
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(usable) {
            Some(text) => Self(text.into()),
            None => Self(format!("req_{}", ids.uuid().simple()).into()),
        }
    }

    /// The id's text: printable ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Refuses headers that are larger than `limit`, names and values together.
pub(crate) fn check_size(headers: &HeaderMap, limit: usize) -> Result<(), Failure> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes <= limit {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::TooLarge,
        format!("the headers have {bytes} bytes, the server takes {limit}"),
    )
    .with("limit_bytes", limit.to_string()))
}
