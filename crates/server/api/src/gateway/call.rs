//! Calls the stack in this process, in the frames of gRPC.

use std::convert::Infallible;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, TE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use loom_base::ErrorCode;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use super::table::Route;
use crate::Failure;
use crate::deadline::GRPC_TIMEOUT;
use crate::request::{IDEMPOTENCY_KEY, LAST_EVENT_ID};
use crate::stack::FRAME_HEADER_BYTES;

/// The headers of an HTTP request that mean the same to a gRPC service.
const FORWARDED: [HeaderName; 6] = [
    AUTHORIZATION,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static(IDEMPOTENCY_KEY),
    HeaderName::from_static(LAST_EVENT_ID),
    HeaderName::from_static(GRPC_TIMEOUT),
];

/// Starts the call of `route`. An error that the service gives before its first message is returned here.
pub(super) async fn start<S>(
    stack: S,
    route: &Route,
    message: &DynamicMessage,
    headers: &HeaderMap,
    extensions: Extensions,
) -> Result<Messages, Failure>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut request = Request::new(Body::new(Full::new(frame(message)?)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = route.rpc_path().parse().map_err(|_| internal("the path of the call is not one"))?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    for name in FORWARDED {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    *request.extensions_mut() = extensions;

    let response = match stack.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != Code::Ok => Err(Failure::from_status(&status)),
        status => Ok(Messages { body, buffer: BytesMut::new(), is_over: status.is_some() }),
    }
}

/// The messages a call answers with. Dropping it ends the call.
pub(super) struct Messages {
    body: Body,
    buffer: BytesMut,
    is_over: bool,
}

impl Messages {
    /// The next message; `None` after the last. Cancel-safe: a message is never lost between two calls.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            if self.is_over {
                return Ok(None);
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => return Err(Failure::from_status(&status)),
                None => return Err(internal("the answer ended without a status")),
            };
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let status = Status::from_header_map(&trailers)
                        .ok_or_else(|| internal("the answer ended without a status"))?;
                    self.is_over = true;
                    if status.code() != Code::Ok {
                        return Err(Failure::from_status(&status));
                    }
                }
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some((&[compressed, ref length @ ..], rest)) =
            self.buffer.split_first_chunk::<FRAME_HEADER_BYTES>()
        else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(internal("the answer is compressed, which was not asked for"));
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

fn frame(message: &DynamicMessage) -> Result<Bytes, Failure> {
    let length = u32::try_from(message.encoded_len())
        .map_err(|_| Failure::new(ErrorCode::TooLarge, "the message does not fit a gRPC frame"))?;
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(length);
    message.encode(&mut frame).map_err(|_| internal("the request does not encode"))?;
    Ok(frame.freeze())
}

fn internal(message: &str) -> Failure {
    Failure::new(ErrorCode::Internal, message)
}
