//! Accepts connections and speaks HTTP on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use loom_access::Principal;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt as _};

use crate::Limits;

/// The longest a peer may take to send the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The silence after which an HTTP/2 peer is asked whether it is still there, and the time it has to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause after an error of `accept`, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
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

/// One listener.
pub(super) struct Accept {
    listener: TcpListener,
    builder: Builder<TokioExecutor>,
    limits: Limits,
    shutdown: CancellationToken,
}

impl Accept {
    pub(super) fn new(
        listener: TcpListener,
        protocol: Protocol,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Self {
        let header_bytes = limits.header_bytes.saturating_mul(HEADER_SLACK);
        let mut builder = Builder::new(TokioExecutor::new());
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
        Self { listener, builder, limits, shutdown }
    }

    /// Serves until the shutdown, then drains.
    pub(super) async fn run<S>(self, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                Some(_ended) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let service = of_connection(service.clone(), describe(&stream, peer));
                    let connection = self
                        .builder
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
                    let watched = graceful.watch(connection.into_owned());
                    connections.spawn(async move {
                        if let Err(error) = watched.await {
                            tracing::debug!(error = %error, "a connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(self.limits.drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections cut off after the drain time");
        }
        connections.shutdown().await;
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
    service.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(info.clone());
        request
    })
}
