//! A running server and a client for each of its doors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use loom_access::{AllowLocal, Authorizer};
use loom_api::{Exposure, Limits, Listeners, Options, Server};
use loom_base::IdSource;
use loom_proto::v1::loom_service_client::LoomServiceClient;
use loom_telemetry::Metrics;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::service::Fake;

pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) events: mpsc::UnboundedReceiver<String>,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) stopped: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

#[derive(Default)]
pub(crate) struct Counted(AtomicU64);

impl IdSource for Counted {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

pub(crate) fn limits() -> Limits {
    Limits { message_bytes: 64 << 10, header_bytes: 4 << 10, ..Limits::default() }
}

pub(crate) async fn start() -> Running {
    start_with(limits(), Arc::new(AllowLocal)).await
}

pub(crate) async fn start_with(limits: Limits, authorizer: Arc<dyn Authorizer>) -> Running {
    let (sender, events) = mpsc::unbounded_channel();
    let metrics = Arc::new(Metrics::new());
    let (ready, is_ready) = watch::channel(true);
    let options = Options {
        limits,
        exposure: Exposure::Loopback,
        allowed_origins: Vec::new(),
        reflection: true,
        authorizer,
        ids: Arc::new(Counted::default()),
        ready: is_ready,
        metrics: Arc::clone(&metrics),
        heartbeat: Duration::from_millis(20),
        peers: None,
    };
    let server = Server::new(Fake { events: sender }, &options).unwrap();
    let listeners = Listeners {
        grpc: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        http: Some(TcpListener::bind("127.0.0.1:0").await.unwrap()),
    };
    let grpc = listeners.grpc.local_addr().unwrap();
    let http = listeners.http.as_ref().unwrap().local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = tokio::spawn(server.serve(listeners, stop.clone(), std::future::pending()));
    Running { grpc, http, events, ready, metrics, _stop: stop.clone().drop_guard(), stop, stopped }
}

impl Running {
    pub(crate) async fn send(&self, request: http::request::Builder, body: &str) -> Response<Incoming> {
        send(self.http, request, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Response<Incoming> {
        self.send(Request::post(path).header("content-type", "application/json"), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path), "").await
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> LoomServiceClient<Channel> {
        LoomServiceClient::new(self.channel().await)
    }
}

pub(crate) async fn send(to: SocketAddr, request: http::request::Builder, body: &str) -> Response<Incoming> {
    let path = request.uri_ref().unwrap().path_and_query().unwrap().clone();
    let body: Full<bytes::Bytes> = Full::from(body.to_owned());
    let mut request = request.body(body).unwrap();
    *request.uri_mut() = format!("http://{to}{path}").parse().unwrap();
    Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}
