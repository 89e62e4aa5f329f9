//! The HTTP listener's service: the guard, the probes, and the gateway behind them.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use loom_access::{Action, Authorizer, Decision, Principal, Resource, ResourceKind};
use loom_base::{ErrorCode, IdSource};
use loom_telemetry::{CONTENT_TYPE as OPENMETRICS, Metrics, MetricsSource as _};
use tokio::sync::watch;
use tonic::body::Body;
use tower::Service;

use super::{Exposure, Options, guard};
use crate::error::{http_status, problem_response};
use crate::gateway::Gateway;
use crate::measure::Measured;
use crate::request::{self, REQUEST_ID, RequestId};
use crate::{Failure, Stack};

#[derive(Clone)]
pub(super) struct Front {
    gateway: Gateway<Stack>,
    rules: Arc<Rules>,
}

struct Rules {
    exposure: Exposure,
    allowed_origins: Vec<String>,
    header_bytes: usize,
    authorizer: Arc<dyn Authorizer>,
    ids: Arc<dyn IdSource>,
    ready: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    /// Made when it is first asked for.
    openapi: OnceLock<Result<Bytes, Failure>>,
}

impl Front {
    pub(super) fn new(gateway: Gateway<Stack>, options: &Options) -> Self {
        let rules = Rules {
            exposure: options.exposure,
            allowed_origins: options.allowed_origins.clone(),
            header_bytes: options.limits.header_bytes,
            authorizer: Arc::clone(&options.authorizer),
            ids: Arc::clone(&options.ids),
            ready: options.ready.clone(),
            metrics: Arc::clone(&options.metrics),
            openapi: OnceLock::new(),
        };
        Self { gateway, rules: Arc::new(rules) }
    }
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Self { gateway, rules } = self.clone();
        let id = RequestId::of(request.headers(), rules.ids.as_ref());
        request.extensions_mut().insert(id.clone());
        async move {
            let mut response = match rules.check(&request) {
                Err((status, failure)) => {
                    Measured::refused(&rules.metrics, &failure);
                    problem_response(&failure, status, Some(&id))
                }
                Ok(()) => match rules.own(&request) {
                    Some(response) => response,
                    None => gateway.answer(request).await,
                },
            };
            if let Some(id) = id.header() {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        }
        .boxed()
    }
}

impl Rules {
    fn check(&self, request: &Request<Body>) -> Result<(), (StatusCode, Failure)> {
        request::check_size(request.headers(), self.header_bytes)
            .map_err(|failure| (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, failure))?;
        guard::check(self.exposure, &self.allowed_origins, request)
    }

    /// The answers that are not calls of the API.
    fn own(&self, request: &Request<Body>) -> Option<Response<Body>> {
        if request.method() != Method::GET {
            return None;
        }
        match request.uri().path() {
            "/livez" => Some(text(StatusCode::OK, "text/plain", "ok\n")),
            "/readyz" if *self.ready.borrow() => Some(text(StatusCode::OK, "text/plain", "ready\n")),
            "/readyz" => Some(text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n")),
            "/metrics" => {
                Some(self.allowed(request, || text(StatusCode::OK, OPENMETRICS, self.metrics.render())))
            }
            "/openapi.json" => Some(self.allowed(request, || self.openapi())),
            path => {
                let page = crate::error::page(path.strip_prefix("/errors/")?)?;
                Some(text(StatusCode::OK, "text/markdown; charset=utf-8", page))
            }
        }
    }

    fn openapi(&self) -> Response<Body> {
        let made = self.openapi.get_or_init(|| match crate::openapi() {
            Ok(document) => Ok(document.to_string().into()),
            Err(error) => Err(Failure::new(ErrorCode::Internal, error.to_string())),
        });
        match made {
            Ok(document) => text(StatusCode::OK, "application/json", document.clone()),
            Err(failure) => problem_response(failure, http_status(failure.code), None),
        }
    }

    fn allowed(&self, request: &Request<Body>, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
        let principal = request.extensions().get::<Principal>().copied().unwrap_or(Principal::Anonymous);
        match self.authorizer.decide(principal, Action::Read, &Resource::all(ResourceKind::Server)) {
            Decision::Allow => answer(),
            Decision::Deny { reason } => {
                let failure = Failure::new(ErrorCode::PermissionDenied, reason);
                problem_response(&failure, http_status(failure.code), request.extensions().get())
            }
        }
    }
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
