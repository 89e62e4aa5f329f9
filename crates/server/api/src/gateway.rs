//! HTTP with JSON for every RPC of the descriptor set, by its `google.api.http` option.
//!
//! It knows no RPC by name but one: `POST /v1/weave:stream` keeps the events of existing clients.

mod call;
mod fields;
mod json;
mod sse;
mod table;
mod template;
mod transcode;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use loom_base::ErrorCode;
use loom_telemetry::Metrics;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::body::Body;
use tower::Service;

use crate::error::{http_status, problem_response};
use crate::measure::Measured;
use crate::request::RequestId;
use crate::stack::too_large;
use crate::{Failure, Limits, Options, deadline};
use sse::EventFormat;
use table::Found;
pub(crate) use table::{Route, RouteBody, RouteTable};
use transcode::JsonStyle;

/// The route whose events are those of the clients that were there before us.
const LEGACY_STREAM: &str = "/v1/weave:stream";

/// Why a descriptor set has no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The set does not declare `google.api.http`.
    #[error("the descriptor set does not declare google.api.http")]
    NoHttpOption,
    /// A method's rule uses what this gateway does not support: wildcards, custom methods, a body other than "*".
    #[error("{rpc} has an http rule that the gateway does not support")]
    UnsupportedRule {
        /// The method's full name.
        rpc: String,
    },
}

/// The gateway in front of `S`, the gRPC stack of this process.
#[derive(Clone)]
pub(crate) struct Gateway<S> {
    table: Arc<RouteTable>,
    stack: S,
    limits: Limits,
    heartbeat: Duration,
    metrics: Arc<Metrics>,
}

impl<S> Gateway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    pub(crate) fn new(pool: &DescriptorPool, stack: S, options: &Options) -> Result<Self, GatewayError> {
        let table = Arc::new(RouteTable::new(pool)?);
        let metrics = Arc::clone(&options.metrics);
        Ok(Self { table, stack, limits: options.limits, heartbeat: options.heartbeat, metrics })
    }

    /// Answers a request; every failure is a problem.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>().cloned();
        let path = request.uri().path().to_owned();
        match self.table.find(request.method(), &path) {
            Found::Route(route, captures) => {
                let measured = Measured::begin(&self.metrics, &route.rpc_path());
                let answer = self.call(route, captures, request, id.clone(), measured.clone()).await;
                answer.unwrap_or_else(|failure| {
                    measured.end(failure.grpc_code());
                    problem_response(&failure, http_status(failure.code), id.as_ref())
                })
            }
            Found::OtherMethods(methods) => {
                let methods = methods.join(", ");
                let failure =
                    Failure::new(ErrorCode::RouteNotFound, format!("{path} answers to {methods} only"))
                        .with("allow", methods.clone());
                Measured::refused(&self.metrics, &failure);
                let mut response = problem_response(&failure, StatusCode::METHOD_NOT_ALLOWED, id.as_ref());
                if let Ok(methods) = HeaderValue::from_str(&methods) {
                    response.headers_mut().insert(ALLOW, methods);
                }
                response
            }
            Found::Nothing => {
                let failure =
                    Failure::new(ErrorCode::RouteNotFound, format!("no route {path}")).with("path", path);
                Measured::refused(&self.metrics, &failure);
                problem_response(&failure, StatusCode::NOT_FOUND, id.as_ref())
            }
        }
    }

    async fn call(
        &self,
        route: &Route,
        captures: template::Captures,
        request: Request<Body>,
        id: Option<RequestId>,
        measured: Measured,
    ) -> Result<Response<Body>, Failure> {
        let (mut head, body) = request.into_parts();
        head.extensions.insert(measured);
        let body = self.read(body).await?;
        let message = transcode::request(route, captures, head.uri.query(), &body)?;
        let stack = self.stack.clone();
        let mut messages = call::start(stack, route, &message, &head.headers, head.extensions).await?;

        let output = route.rpc.output();
        if route.rpc.is_server_streaming() {
            let style = if route.path == LEGACY_STREAM { JsonStyle::Legacy } else { JsonStyle::Brief };
            let format = EventFormat { message: output, style, heartbeat: self.heartbeat, request: id };
            return Ok(sse::response(messages, format));
        }
        let broken = || Failure::new(ErrorCode::Internal, "the answer does not read back");
        let answer = messages.next().await?.ok_or_else(broken)?;
        // The status comes after the answer, and may yet take it back.
        if messages.next().await?.is_some() {
            return Err(broken());
        }
        let answer = DynamicMessage::decode(output, answer).map_err(|_| broken())?;
        let json = transcode::to_json(&answer, JsonStyle::Whole).map_err(|_| broken())?;
        let mut response = Response::new(Body::new(Full::from(json)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Reads a body within the limits of size and time.
    async fn read(&self, body: Body) -> Result<bytes::Bytes, Failure> {
        let limit = self.limits.message_bytes;
        if let Some(announced) = http_body::Body::size_hint(&body).exact()
            && announced > limit as u64
        {
            return Err(too_large(usize::try_from(announced).unwrap_or(usize::MAX), limit));
        }
        let reading = tokio::time::timeout(self.limits.request_time, Limited::new(body, limit).collect());
        match reading.await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Failure::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
                    .with("limit_bytes", limit.to_string()))
            }
            Ok(Err(_)) => Err(Failure::new(ErrorCode::Cancelled, "the connection was lost in the body")),
            Err(_) => Err(deadline::exceeded(self.limits.request_time)),
        }
    }
}
