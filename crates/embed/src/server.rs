//! The two listeners: gRPC, and HTTP with JSON.

use std::net::SocketAddr;
use std::sync::Arc;

use loom_access::{AllowAnyone, AllowLocal, Authorizer};
use loom_api::{ApiParts, Exposure, Limits, Listeners, LoomApi, Options, Server};
use loom_base::ErrorCode;
use loom_config::Config;
use loom_proto::v1::{
    NetworkConfig, ServerBehavior, ServerConfig, SqLiteStorageConfig, StorageBackendType, StorageConfig,
};
use loom_runtime::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Loom;
use crate::watch::read_agent;

/// A server whose listeners are bound and that is not serving yet.
pub struct Bound {
    server: Server,
    listeners: Listeners,
    ready: watch::Sender<bool>,
    /// Where gRPC is.
    pub grpc: SocketAddr,
    /// Where HTTP is; `None` when the gateway is off.
    pub http: Option<SocketAddr>,
}

/// What a server is bound with.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address to listen on.
    pub host: String,
    /// The port of gRPC; 0 for a free one.
    pub grpc_port: u16,
    /// The port of HTTP; 0 for a free one, `None` for no gateway.
    pub http_port: Option<u16>,
    /// Who can reach the listeners.
    pub exposure: Exposure,
    /// What strangers may send.
    pub limits: Limits,
    /// Web pages that may call the gateway.
    pub allowed_origins: Vec<String>,
    /// Whether gRPC reflection lists the services.
    pub reflection: bool,
}

impl ServeOptions {
    /// This machine only, on free ports, with the default limits.
    pub fn local() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            grpc_port: 0,
            http_port: Some(0),
            exposure: Exposure::Loopback,
            limits: Limits::default(),
            allowed_origins: Vec::new(),
            reflection: true,
        }
    }

    /// What a configuration says.
    pub fn of(config: &Config) -> Self {
        let server = &config.server;
        let bytes = usize::try_from(server.max_body_bytes).unwrap_or(usize::MAX);
        Self {
            host: server.host.clone(),
            grpc_port: server.grpc_port,
            http_port: Some(server.http_port).filter(|port| *port != 0),
            exposure: if server.is_loopback() { Exposure::Loopback } else { Exposure::Open },
            limits: Limits {
                message_bytes: bytes,
                concurrent_requests: server.behavior.max_concurrent_requests as usize,
                request_time: server.behavior.request_timeout(),
                drain_time: server.behavior.shutdown_timeout(),
                ..Limits::default()
            },
            allowed_origins: server
                .cors
                .allowed_origins
                .iter()
                .map(|origin| origin.as_str().to_owned())
                .collect(),
            reflection: server.reflection,
        }
    }
}

impl Loom {
    /// Binds the listeners. Callers wait in the system's queue until [`Bound::serve`].
    pub async fn bind(&self, options: &ServeOptions) -> Result<Bound, Error> {
        let grpc = listen(&options.host, options.grpc_port).await?;
        let http = match options.http_port {
            Some(port) => Some(listen(&options.host, port).await?),
            None => None,
        };
        let grpc_address = local(&grpc)?;
        let http_address = http.as_ref().map(local).transpose()?;
        let (ready, is_ready) = watch::channel(false);
        let authorizer: Arc<dyn Authorizer> = match options.exposure {
            Exposure::Loopback => Arc::new(AllowLocal),
            Exposure::Open => Arc::new(AllowAnyone),
        };
        let api = Options {
            limits: options.limits,
            exposure: options.exposure,
            allowed_origins: options.allowed_origins.clone(),
            reflection: options.reflection,
            authorizer,
            ids: Arc::clone(&self.ids),
            ready: is_ready,
            metrics: Arc::clone(self.metrics()),
            heartbeat: Options::HEARTBEAT,
        };
        let shown = self.shown_config(options, grpc_address, http_address);
        let server = Server::new(self.api(shown), &api).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the server cannot be made: {error}"))
        })?;
        let listeners = Listeners { grpc, http };
        Ok(Bound { server, listeners, ready, grpc: grpc_address, http: http_address })
    }

    fn api(&self, config: ServerConfig) -> LoomApi {
        let loader = Arc::clone(&self.loader);
        LoomApi::new(ApiParts {
            runtime: Arc::clone(&self.runtime),
            patterns: self.patterns(),
            clock: Arc::clone(&self.clock),
            config,
            reload_file: Arc::new(move |file| {
                let folder = loader.folders.agents.clone().unwrap_or_default();
                read_agent(&folder.join(file), file, &*loader.lookup).map(|read| read.definition)
            }),
        })
    }

    fn shown_config(
        &self,
        options: &ServeOptions,
        grpc: SocketAddr,
        http: Option<SocketAddr>,
    ) -> ServerConfig {
        let seconds = |span: std::time::Duration| i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
        ServerConfig {
            name: "looms".to_owned(),
            network: Some(NetworkConfig {
                grpc_address: grpc.to_string(),
                http_address: http.map(|address| address.to_string()).unwrap_or_default(),
                http_enabled: http.is_some(),
                reflection_enabled: options.reflection,
            }),
            behavior: Some(ServerBehavior {
                max_concurrent_requests: i32::try_from(options.limits.concurrent_requests)
                    .unwrap_or(i32::MAX),
                request_timeout_seconds: seconds(options.limits.request_time),
                graceful_shutdown: !options.limits.drain_time.is_zero(),
                shutdown_timeout_seconds: seconds(options.limits.drain_time),
                cors_enabled: !options.allowed_origins.is_empty(),
                cors_allowed_origins: options.allowed_origins.clone(),
            }),
            storage: Some(StorageConfig {
                backend: StorageBackendType::Sqlite.into(),
                sqlite: Some(SqLiteStorageConfig {
                    path: self.store.path().display().to_string(),
                    wal_mode: true,
                    ..SqLiteStorageConfig::default()
                }),
                ..StorageConfig::default()
            }),
            ..ServerConfig::default()
        }
    }
}

impl Bound {
    /// Serves until `shutdown` fires, then lets the calls in progress end.
    pub async fn serve(self, shutdown: CancellationToken) {
        // Readers of readiness live as long as the server, so this cannot fail before it ends.
        let _ = self.ready.send(true);
        self.server.serve(self.listeners, shutdown).await;
    }
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).await.map_err(|error| {
        let message =
            format!("cannot listen on {host}:{port}: {error}; choose another port, or stop what uses it");
        Error::new(ErrorCode::InvalidConfig, message)
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}
