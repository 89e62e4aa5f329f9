//! Server streams as Server-Sent Events (the HTML standard, "Server-sent events").

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use loom_base::ErrorCode;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::json;
use tonic::body::Body;

use super::call::Messages;
use super::transcode::{self, JsonStyle};
use crate::Failure;
use crate::error::{http_status, problem};
use crate::request::RequestId;

/// Tells proxies of nginx's family to pass events on as they come.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What the events of one stream look like.
pub(super) struct EventFormat {
    pub(super) message: MessageDescriptor,
    pub(super) style: JsonStyle,
    /// The longest silence; then a comment is sent, so that both sides notice a lost connection.
    pub(super) heartbeat: Duration,
    pub(super) request: Option<RequestId>,
}

/// The stream as a response. When the caller goes away the body is dropped, and with it the call.
pub(super) fn response(messages: Messages, format: EventFormat) -> Response<Body> {
    let events = stream::unfold(Some((messages, format)), |state| async move {
        let (mut messages, format) = state?;
        let (event, is_last) = match tokio::time::timeout(format.heartbeat, messages.next()).await {
            Err(_silence) => (Bytes::from_static(b": heartbeat\n\n"), false),
            Ok(Ok(Some(message))) => match format.event(message) {
                Ok(event) => (event, false),
                Err(failure) => (format.error(&failure), true),
            },
            Ok(Ok(None)) => return None,
            Ok(Err(failure)) => (format.error(&failure), true),
        };
        let rest = (!is_last).then_some((messages, format));
        Some((Ok::<_, Infallible>(Frame::data(event)), rest))
    });
    let mut response = Response::new(Body::new(StreamBody::new(events)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

impl EventFormat {
    fn event(&self, message: Bytes) -> Result<Bytes, Failure> {
        let broken = || Failure::new(ErrorCode::Internal, "an event does not read back");
        let message = DynamicMessage::decode(self.message.clone(), message).map_err(|_| broken())?;
        let json = transcode::to_json(&message, self.style).map_err(|_| broken())?;
        let mut event = Vec::with_capacity(json.len() + 64);
        let id = message.get_field_by_name("event_id");
        let id = id.as_ref().and_then(|id| id.as_str()).unwrap_or_default();
        if !id.is_empty() && !id.contains(['\r', '\n', '\0']) {
            event.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&json);
        event.extend_from_slice(b"\n\n");
        Ok(event.into())
    }

    fn error(&self, failure: &Failure) -> Bytes {
        if self.style == JsonStyle::Legacy {
            let error = json!({
                "error": failure.message,
                "stage": "EXECUTION_STAGE_FAILED",
                "progress": 0,
                "code": failure.code.as_str(),
            });
            return format!("data: {error}\n\n").into();
        }
        let problem = problem(failure, http_status(failure.code), self.request.as_ref());
        format!("event: error\ndata: {problem}\n\n").into()
    }
}
