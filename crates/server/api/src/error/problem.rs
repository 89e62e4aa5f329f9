//! Problem JSON after RFC 9457.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use loom_base::{Category, ErrorCode};
use serde_json::{Map, Value, json};
use tonic::body::Body;

use super::Failure;
use crate::request::RequestId;

/// The HTTP status of a code, after the table in `google/rpc/code.proto`; two codes have a better one of their own.
pub(crate) const fn http_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::TooLarge => return StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Overloaded => return StatusCode::SERVICE_UNAVAILABLE,
        _ => {}
    }
    match code.category() {
        Category::InvalidArgument | Category::FailedPrecondition => StatusCode::BAD_REQUEST,
        Category::NotFound => StatusCode::NOT_FOUND,
        Category::AlreadyExists | Category::Aborted => StatusCode::CONFLICT,
        Category::PermissionDenied => StatusCode::FORBIDDEN,
        Category::Unauthenticated => StatusCode::UNAUTHORIZED,
        Category::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // RFC 9110 has no status for "you cancelled": the caller is gone and reads none of this.
        Category::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Category::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Category::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Category::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Category::DataLoss | Category::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The problem object. Its `type` is the path of the code's page on this server.
pub(crate) fn problem(failure: &Failure, status: StatusCode, request: Option<&RequestId>) -> Value {
    let code = failure.code.as_str();
    let mut members = Map::new();
    members.insert("type".into(), format!("/errors/{code}").into());
    members.insert("title".into(), failure.code.summary().trim_end_matches('.').into());
    members.insert("status".into(), status.as_u16().into());
    members.insert("detail".into(), failure.message.as_str().into());
    members.insert("code".into(), code.into());
    members.insert("retryable".into(), failure.is_retryable().into());
    if !failure.metadata.is_empty() {
        members.insert("metadata".into(), json!(failure.metadata));
    }
    if let Some(pause) = failure.retry_after {
        members.insert("retryAfterSeconds".into(), pause.as_secs_f64().into());
    }
    if let Some(request) = request {
        members.insert("requestId".into(), request.as_str().into());
    }
    Value::Object(members)
}

/// The problem as a response.
pub(crate) fn problem_response(
    failure: &Failure,
    status: StatusCode,
    request: Option<&RequestId>,
) -> Response<Body> {
    let body = problem(failure, status, request).to_string();
    let mut response = Response::new(Body::new(http_body_util::Full::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(pause) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
    }
    response
}
