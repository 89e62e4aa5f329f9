//! Accepts connections and speaks HTTP on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use loom_access::Principal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt as _};

use super::refusal;
use crate::Limits;
use crate::taker::{self, Socket, Taker};

/// The longest a peer may take to send the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The silence after which an HTTP/2 peer is asked whether it is still there, and the time it has to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause after an error of `accept`, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The least time between two reports of such errors and of refused connections.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How much larger than allowed headers may be and still get a typed answer; beyond it the connection's own 431.
const HEADER_SLACK: usize = 4;
/// hyper's smallest read buffer.
const MIN_BUFFER_BYTES: usize = 8192;

/// Which protocol a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/2 only, which no browser speaks without TLS.
    Grpc,
    /// HTTP/1.1 and HTTP/2.
    Http,
}

/// Runs the streams of HTTP/2 connections, each until its client takes nothing for too long.
#[derive(Clone)]
struct Streams {
    stall_time: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        // Dropping the stream's future resets the stream, and no other of its connection.
        tokio::spawn(Arc::<Taker>::default().watch(self.stall_time, stream));
    }
}

/// How all connections of a server are kept in bounds and come to their end.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) limits: Limits,
    /// Places for connections.
    pub(super) places: Arc<Semaphore>,
    /// Fires when no more connections are taken and those there are may end.
    pub(super) shutdown: CancellationToken,
    /// Fires when those that are left are cut off.
    pub(super) cut: CancellationToken,
}

/// One listener.
pub(super) struct Accept {
    listener: TcpListener,
    protocol: Protocol,
    builder: Builder<Streams>,
    bounds: Bounds,
}

impl Accept {
    pub(super) fn new(listener: TcpListener, protocol: Protocol, bounds: Bounds) -> Self {
        let limits = bounds.limits;
        let header_bytes = limits.header_bytes.saturating_mul(HEADER_SLACK);
        let mut builder = Builder::new(Streams { stall_time: limits.stall_time });
        if protocol == Protocol::Grpc {
            builder = builder.http2_only();
        }
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(header_bytes.max(MIN_BUFFER_BYTES));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .adaptive_window(true);
        Self { listener, protocol, builder, bounds }
    }

    /// Serves until the shutdown, and lets the connections end until they are cut off.
    pub(super) async fn run<S>(self, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let Bounds { limits, places, shutdown, cut } = self.bounds;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut refusals = JoinSet::new();
        let mut report = Reports::default();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_ended) = connections.join_next() => continue,
                Some(_ended) = refusals.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if report.is_due() {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if report.is_due() {
                    tracing::warn!(limit = limits.connections, "connections are refused: there are too many");
                }
                if refusals.len() < refusal::MOST {
                    refusals.spawn(refusal::refuse(stream, self.protocol, limits.connections));
                }
                continue;
            };
            let taker = Arc::<Taker>::default();
            let service = of_connection(service.clone(), describe(&stream, peer));
            let socket = TokioIo::new(Socket::new(stream, Arc::clone(&taker)));
            let connection = self.builder.serve_connection(socket, TowerToHyperService::new(service));
            let watched = graceful.watch(connection.into_owned());
            connections.spawn(async move {
                let _place = place;
                let speaking = speaks(Arc::clone(&taker), limits.greeting_time);
                tokio::select! {
                    ended = taker.watch(limits.stall_time, watched) => {
                        if let Some(Err(error)) = ended {
                            tracing::debug!(error = %error, "a connection ended early");
                        }
                    }
                    () = speaking => tracing::debug!("a connection was closed that said nothing"),
                }
            });
        }
        drop(self.listener);
        tokio::select! {
            () = graceful.shutdown() => {}
            () = cut.cancelled() => {
                tracing::warn!(connections = connections.len(), "connections are cut off: the server stops");
            }
        }
        connections.shutdown().await;
    }
}

/// Returns when a peer has not greeted in time; never when it has.
async fn speaks(taker: Arc<Taker>, limit: Duration) {
    tokio::time::sleep(limit).await;
    if taker.has_greeted() {
        std::future::pending::<()>().await;
    }
}

/// Keeps what may happen many times in a second from filling the log.
#[derive(Default)]
struct Reports {
    last: Option<Instant>,
}

impl Reports {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.last.is_none_or(|last| now.duration_since(last) >= REPORT_INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

fn describe(stream: &TcpStream, peer: SocketAddr) -> TcpConnectInfo {
    // gRPC answers are many small writes; without this each waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps delaying small writes");
    }
    TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: Some(peer) }
}

/// Says on every request of a connection whose it is.
fn of_connection<S>(
    service: S,
    info: TcpConnectInfo,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let is_local = info.remote_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let principal = if is_local { Principal::Local } else { Principal::Anonymous };
    let service = service.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(info.clone());
        request
    });
    tower::service_fn(move |mut request: Request<Incoming>| {
        let taker = taker::announce(&mut request);
        service.clone().oneshot(request).map_ok(|response| taker::taken(response, taker))
    })
}
