//! The two listeners, from their first connection to their last.

mod connection;
mod front;
mod guard;
mod lazy;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use loom_access::Authorizer;
use loom_base::IdSource;
use loom_proto::v1::loom_service_server::{LoomService, LoomServiceServer};
use loom_runtime::Peers;
use loom_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Layer as _;
use tower::util::option_layer;
use tower_http::cors::CorsLayer;

use crate::gateway::Gateway;
use crate::{GatewayError, Limits, Stack};
use connection::{Accept, Bounds, Protocol};
use front::Front;
pub use guard::Exposure;
use lazy::Lazy;

/// The time that answers have to reach their callers when nothing is worked on any more and the server stops.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// What a server is made with.
#[derive(Clone)]
pub struct Options {
    /// The limits on what strangers can send.
    pub limits: Limits,
    /// Who can reach the listeners.
    pub exposure: Exposure,
    /// Origins of web pages that may call over HTTP, beside the server's own; each in full, as browsers send it.
    pub allowed_origins: Vec<String>,
    /// Whether gRPC reflection lists the services.
    pub reflection: bool,
    /// Who may call what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where request ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Whether the server is ready, at every moment: `/readyz` and gRPC health say so.
    pub ready: watch::Receiver<bool>,
    /// What requests are counted in, and `/metrics` answers.
    pub metrics: Arc<Metrics>,
    /// The longest silence of an event stream.
    pub heartbeat: Duration,
    /// The other servers, where several share a store: what one of them works on is sent on to it.
    pub peers: Option<Arc<Peers>>,
}

impl Options {
    /// The heartbeat of event streams unless another is wanted.
    pub const HEARTBEAT: Duration = Duration::from_secs(15);
}

/// The listeners, already bound.
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// HTTP with JSON; `None` means there is none.
    pub http: Option<TcpListener>,
}

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API's HTTP rules are beyond the gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Serves one implementation of `LoomService` over gRPC and HTTP.
pub struct Server {
    stack: Stack,
    front: Front,
    cors: Option<CorsLayer>,
    health: HealthReporter,
    ready: watch::Receiver<bool>,
    limits: Limits,
    closing: CancellationToken,
}

impl Server {
    /// A server for `service`. Nothing is served before [`serve`](Self::serve).
    pub fn new(service: impl LoomService, options: &Options) -> Result<Self, Error> {
        let limits = options.limits;
        let health = HealthReporter::new();
        let mut routes = Routes::new(
            // The stack has refused larger messages, with a typed error, before the codec sees them.
            LoomServiceServer::new(service).max_decoding_message_size(limits.message_bytes),
        )
        .add_service(HealthServer::new(HealthService::from_health_reporter(health.clone())));
        if options.reflection {
            routes = routes
                .add_service(Lazy::new(|| reflection().build_v1()))
                .add_service(Lazy::new(|| reflection().build_v1alpha()));
        }
        let closing = CancellationToken::new();
        let stack = Stack::new(
            routes,
            limits,
            options.authorizer.clone(),
            options.ids.clone(),
            options.metrics.clone(),
            closing.clone(),
        );
        let stack = match &options.peers {
            Some(peers) => stack.forwarding(Arc::clone(peers)),
            None => stack,
        };
        let pool = loom_proto::descriptor_pool();
        let gateway = Gateway::new(pool, stack.clone(), options)?;
        let ready = options.ready.clone();
        let front = Front::new(gateway, options);
        let cors = cors(&options.allowed_origins);
        Ok(Self { stack, front, cors, health, ready, limits, closing })
    }

    /// Serves until `shutdown` is cancelled. Then it takes no more connections and waits for the calls in progress or
    /// for `work` to end, for [`Limits::drain_time`] at most; whatever answers are not out by then have a moment to
    /// reach their callers, and are cut off.
    ///
    /// `work` is begun at the shutdown. It is what the calls wait for: it lets running turns end, and cancels those that
    /// do not end in time, so that their callers are told.
    pub async fn serve(
        self,
        listeners: Listeners,
        shutdown: CancellationToken,
        work: impl Future<Output = ()> + Send,
    ) {
        let mut tasks = JoinSet::new();
        let bounds = Bounds {
            limits: self.limits,
            places: Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS))),
            shutdown: shutdown.clone(),
            cut: CancellationToken::new(),
        };
        let grpc = Accept::new(listeners.grpc, Protocol::Grpc, bounds.clone());
        tasks.spawn(grpc.run(self.stack));
        if let Some(listener) = listeners.http {
            let http = Accept::new(listener, Protocol::Http, bounds.clone());
            tasks.spawn(http.run(option_layer(self.cors).layer(self.front)));
        }
        let reporting = report(self.health, self.ready);
        tokio::pin!(reporting);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = &mut reporting => shutdown.cancelled().await,
        }
        self.closing.cancel();
        let latest = Instant::now() + self.limits.drain_time + CLOSING_TIME;
        let ended = async { while tasks.join_next().await.is_some() {} };
        let cut = async {
            if tokio::time::timeout_at(latest, work).await.is_ok() {
                tokio::time::sleep_until(latest.min(Instant::now() + CLOSING_TIME)).await;
            }
            bounds.cut.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = ended => {}
            () = cut => {}
        }
    }
}

/// Keeps gRPC health in step with readiness; returns when nobody will change it any more.
async fn report(health: HealthReporter, mut ready: watch::Receiver<bool>) {
    loop {
        let is_ready = *ready.borrow_and_update();
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", loom_proto::v1::loom_service_server::SERVICE_NAME] {
            health.set_service_status(service, status).await;
        }
        if ready.changed().await.is_err() {
            return;
        }
    }
}

/// Tells browsers which pages of other origins may read the answers; `None` when none may.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let layer = CorsLayer::new()
        .allow_origin(origins.clone())
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([CONTENT_TYPE, AUTHORIZATION])
        .expose_headers([crate::request::REQUEST_ID]);
    (!origins.is_empty()).then_some(layer)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(loom_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
