//! The one stack of checks around the services, the same for every door.

mod forward;
mod frames;
mod tail;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use loom_access::{Action, Authorizer, Decision, Principal, Resource, ResourceKind};
use loom_base::{ErrorCode, IdSource};
use loom_runtime::Peers;
use loom_telemetry::Metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument as _;

use crate::measure::Measured;
use crate::request::{self, REQUEST_ID, RequestId};
use crate::taker::Claim;
use crate::{Failure, Limits, deadline};
use forward::Forward;
use frames::FrameGuard;
pub(crate) use frames::{FRAME_HEADER_BYTES, too_large};
use tail::Tail;

/// The path of every RPC of `loom.v1` starts with this.
const LOOM: &str = "/loom.v1.";
/// The RPC that says how the server is, also when it is full.
const HEALTH: &str = "/loom.v1.LoomService/GetHealth";
/// Streams that do not end by themselves: they end when the server begins to stop.
const ENDLESS: &[&str] = &["/loom.v1.LoomService/StreamPatternUpdates"];
/// When a caller who met a full server should try again.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// What a turn that runs out of its caller's time gets to say so itself, with its last event and its ids, before the call
/// is cut off.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The services behind all their checks: authorisation, header and message size, concurrency, deadlines. It counts and times each
/// call until the end of its answer.
///
/// It expects gRPC requests whose extensions hold the connection's `Principal`; one without is anonymous. It never
/// looks into messages.
#[derive(Clone)]
pub struct Stack {
    routes: Routes,
    rules: Arc<Rules>,
    /// The other servers, where there can be some.
    forward: Option<Arc<Forward>>,
}

struct Rules {
    limits: Limits,
    authorizer: Arc<dyn Authorizer>,
    ids: Arc<dyn IdSource>,
    metrics: Arc<Metrics>,
    slots: Arc<Semaphore>,
    /// The paths of server-streaming RPCs.
    streams: BTreeSet<String>,
    /// Cancelled when the server stops.
    closing: CancellationToken,
}

impl Stack {
    /// Puts the checks around `routes`. When `closing` is cancelled, the streams of health and reflection end.
    pub fn new(
        routes: Routes,
        limits: Limits,
        authorizer: Arc<dyn Authorizer>,
        ids: Arc<dyn IdSource>,
        metrics: Arc<Metrics>,
        closing: CancellationToken,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS)));
        let rules = Rules { limits, authorizer, ids, metrics, slots, streams: streams(), closing };
        Self { routes: routes.prepare(), rules: Arc::new(rules), forward: None }
    }

    /// Sends a call whose session one of `peers` works on to that one.
    #[must_use]
    pub fn forwarding(self, peers: Arc<Peers>) -> Self {
        Self { forward: Some(Arc::new(Forward::new(peers))), ..self }
    }
}

fn streams() -> BTreeSet<String> {
    let services = loom_proto::descriptor_pool().services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .filter(prost_reflect::MethodDescriptor::is_server_streaming)
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
        .collect()
}

impl Service<Request<Body>> for Stack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let rules = Arc::clone(&self.rules);
        let routes = self.routes.clone();
        let forward = self.forward.clone();
        let known = request.extensions().get::<RequestId>().cloned();
        let id = known.unwrap_or_else(|| RequestId::of(request.headers(), rules.ids.as_ref()));
        request.extensions_mut().insert(id.clone());
        let begun = request.extensions_mut().remove::<Measured>();
        let measured = begun.unwrap_or_else(|| Measured::begin(&rules.metrics, request.uri().path()));
        let span = tracing::info_span!("rpc", rpc.path = request.uri().path(), request.id = id.as_str());
        let answer = async move {
            let mut response = match rules.answer(routes, forward, request, measured.clone()).await {
                Ok(response) => response,
                Err(failure) => Status::from(failure).into_http(),
            };
            if let Some(status) = Status::from_header_map(response.headers()) {
                measured.end(status.code());
            }
            if let Some(id) = id.header() {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        };
        answer.instrument(span).boxed()
    }
}

impl Rules {
    async fn answer(
        &self,
        routes: Routes,
        forward: Option<Arc<Forward>>,
        mut call: Request<Body>,
        measured: Measured,
    ) -> Result<Response<Body>, Failure> {
        request::check_size(call.headers(), self.limits.header_bytes)?;
        if let Some(forward) = &forward {
            forward.receive(&mut call)?;
        }
        self.authorize(&call)?;
        let claim = call.extensions().get::<Claim>().cloned().unwrap_or_default();
        let held = claim.hold(self.slot(call.uri().path())?);
        let asked = deadline::from_headers(call.headers())?;
        let is_stream = self.is_stream(call.uri().path());
        let is_loom = call.uri().path().starts_with(LOOM);
        let is_endless = is_stream && (!is_loom || ENDLESS.contains(&call.uri().path()));
        let limit = match (asked, is_stream) {
            (asked, true) => asked,
            (Some(asked), false) => Some(asked.min(self.limits.request_time)),
            (None, false) => Some(self.limits.request_time),
        };
        let last_words = if is_loom { LAST_WORDS } else { Duration::ZERO };
        let end = limit.map(|limit| (limit, tokio::time::Instant::now() + limit + last_words));

        let call = call.map(|body| Body::new(FrameGuard::new(body, self.limits.message_bytes)));
        let asked_until = asked.map(|asked| tokio::time::Instant::now() + asked);
        let answer = perform(routes, forward.filter(|_| is_loom), call, asked_until);
        let response = match end {
            Some((limit, at)) => {
                tokio::time::timeout_at(at, answer).await.map_err(|_| deadline::exceeded(limit))?
            }
            None => answer.await,
        };
        if is_loom && let Some(failure) = unreadable(&response) {
            return Err(failure);
        }
        let until = end.filter(|_| is_stream && is_loom);
        let ending = self.ending(is_endless, until, &claim);
        Ok(response.map(|body| Body::new(Tail::new(body, ending, held, measured))))
    }

    fn authorize<B>(&self, request: &Request<B>) -> Result<(), Failure> {
        let path = request.uri().path();
        let principal = request.extensions().get::<Principal>().copied().unwrap_or(Principal::Anonymous);
        let (action, kind) = match loom_access::entry(path) {
            Some(entry) => (entry.action, entry.kind),
            // Not in the table and so nobody's to call; an RPC that does not exist is told so by the routes.
            None if path.starts_with(LOOM) && exists(path) => {
                return Err(Failure::new(ErrorCode::PermissionDenied, "no rule allows this call"));
            }
            // Health and reflection say what the server is.
            None => (Action::Read, ResourceKind::Server),
        };
        match self.authorizer.decide(principal, action, &Resource::all(kind)) {
            Decision::Allow => Ok(()),
            Decision::Deny { reason } => Err(Failure::new(ErrorCode::PermissionDenied, reason)),
        }
    }

    /// A place among the calls in progress. Health and reflection need none: they answer on a full server too.
    fn slot(&self, path: &str) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if !path.starts_with(LOOM) || path == HEALTH {
            return Ok(None);
        }
        let full = |_| {
            let limit = self.limits.concurrent_requests;
            Failure::new(
                ErrorCode::Overloaded,
                format!("{limit} calls are in progress, the most this server takes"),
            )
            .with("max_concurrent_requests", limit.to_string())
            .retry_after(OVERLOAD_PAUSE)
        };
        Arc::clone(&self.slots).try_acquire_owned().map(Some).map_err(full)
    }

    fn is_stream(&self, path: &str) -> bool {
        self.streams.contains(path) || (!path.starts_with(LOOM) && !path.ends_with("/Check"))
    }

    /// What ends an answer before its service does: the time that a stream was given, the end of the server for one
    /// that has no end of its own, and a caller who takes nothing.
    fn ending(
        &self,
        is_endless: bool,
        until: Option<(Duration, tokio::time::Instant)>,
        claim: &Claim,
    ) -> BoxFuture<'static, Failure> {
        let closing = self.closing.clone();
        let stalled = claim.stalled();
        let limit = self.limits.stall_time;
        async move {
            let deadline = async {
                match until {
                    Some((limit, at)) => {
                        tokio::time::sleep_until(at).await;
                        deadline::exceeded(limit)
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                failure = deadline => failure,
                () = closing.cancelled(), if is_endless => {
                    Failure::new(ErrorCode::ShuttingDown, "the server is stopping")
                }
                () = stalled => {
                    Failure::new(ErrorCode::DeadlineExceeded, format!("nothing of the answer was taken for {limit:?}"))
                        .with("limit_ms", limit.as_millis().to_string())
                }
            }
        }
        .boxed()
    }
}

/// What the services answer; or, where another server has the session, that server.
async fn perform(
    mut routes: Routes,
    forward: Option<Arc<Forward>>,
    call: Request<Body>,
    asked_until: Option<tokio::time::Instant>,
) -> Response<Body> {
    let (call, copy) = match &forward {
        Some(_) => Forward::keep(call),
        None => (call, None),
    };
    let response = match routes.call(call).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    match forward.zip(copy) {
        Some((forward, copy)) => forward.on(copy, response, asked_until).await,
        None => response,
    }
}

/// The failure of a request whose message does not decode. The codec calls that a defect of the server; a status of the
/// services themselves has details.
fn unreadable(response: &Response<Body>) -> Option<Failure> {
    let status = Status::from_header_map(response.headers())?;
    (status.code() == Code::Internal && status.details().is_empty())
        .then(|| Failure::new(ErrorCode::InvalidArgument, status.message()))
}

fn exists(path: &str) -> bool {
    let Some((service, method)) = path.trim_start_matches('/').split_once('/') else { return false };
    let service = loom_proto::descriptor_pool().get_service_by_name(service);
    service.is_some_and(|service| service.methods().any(|known| known.name() == method))
}
