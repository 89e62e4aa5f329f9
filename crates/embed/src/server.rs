//! The two listeners: gRPC, and HTTP with JSON.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loom_access::{AllowAnyone, AllowLocal, Authorizer};
use loom_api::{ApiParts, Exposure, Limits, Listeners, LoomApi, Options, Server};
use loom_base::{Clock, ErrorCode};
use loom_config::Config;
use loom_proto::v1::{
    NetworkConfig, ServerBehavior, ServerConfig, SqLiteStorageConfig, StorageBackendType, StorageConfig,
};
use loom_runtime::{Error, Runtime};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Loom;
use crate::store::Store;
use crate::watch::read_agent;

/// How often the store is looked at. While it cannot write, a look is a small write.
const LOOK: Duration = Duration::from_secs(1);

/// A server whose listeners are bound and that is not serving yet.
pub struct Bound {
    server: Server,
    listeners: Listeners,
    readiness: Readiness,
    drain_time: Duration,
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
    /// Where backups that a request asks for are written; `None` refuses them.
    pub backup_dir: Option<PathBuf>,
    /// The address, `host:port` or `host`, at which others that share the store reach gRPC; the one it listens on when
    /// `None`.
    pub advertise: Option<String>,
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
            backup_dir: None,
            advertise: None,
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
                connections: Limits::default()
                    .connections
                    .max(server.behavior.max_concurrent_requests as usize),
                ..Limits::default()
            },
            allowed_origins: server
                .cors
                .allowed_origins
                .iter()
                .map(|origin| origin.as_str().to_owned())
                .collect(),
            reflection: server.reflection,
            backup_dir: Some(config.paths.backup_dir.clone()),
            advertise: config.storage.advertise.clone(),
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
        let peers = self.runtime.peers();
        if peers.is_some() {
            self.runtime.announce(advertised(options.advertise.as_deref(), grpc_address)?).await?;
        }
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
            peers,
        };
        let shown = self.shown_config(options, grpc_address, http_address);
        let server = Server::new(self.api(shown, options.backup_dir.clone()), &api).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the server cannot be made: {error}"))
        })?;
        let listeners = Listeners { grpc, http };
        let readiness =
            Readiness { ready, runtime: Arc::clone(&self.runtime), clock: Arc::clone(&self.clock) };
        let drain_time = options.limits.drain_time;
        Ok(Bound { server, listeners, readiness, drain_time, grpc: grpc_address, http: http_address })
    }

    fn api(&self, config: ServerConfig, backup_dir: Option<PathBuf>) -> LoomApi {
        let loader = Arc::clone(&self.loader);
        LoomApi::new(ApiParts {
            runtime: Arc::clone(&self.runtime),
            patterns: self.patterns(),
            clock: Arc::clone(&self.clock),
            config,
            backup_dir,
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
            storage: Some(shown_store(&self.store)),
            ..ServerConfig::default()
        }
    }
}

/// What is shown of a store: of a database's URL nothing, it may hold more than one secret.
fn shown_store(store: &Store) -> StorageConfig {
    match store {
        Store::Sqlite(store) => StorageConfig {
            backend: StorageBackendType::Sqlite.into(),
            sqlite: Some(SqLiteStorageConfig {
                path: store.path().display().to_string(),
                wal_mode: true,
                ..SqLiteStorageConfig::default()
            }),
            ..StorageConfig::default()
        },
        Store::Postgres(_) => {
            StorageConfig { backend: StorageBackendType::Postgres.into(), ..StorageConfig::default() }
        }
    }
}

impl Bound {
    /// Serves until `shutdown` fires, then lets the calls in progress end. The Loom goes on without its listeners; to
    /// stop both, use [`Loom::serve`].
    pub async fn serve(self, shutdown: CancellationToken) {
        self.serve_until(shutdown, std::future::pending()).await;
    }

    async fn serve_until(self, shutdown: CancellationToken, work: impl Future<Output = ()> + Send) {
        // The store was opened a moment ago.
        self.readiness.say(true);
        tokio::select! {
            () = self.server.serve(self.listeners, shutdown.clone(), work) => {}
            never = self.readiness.follow_store(shutdown) => match never {},
        }
    }
}

impl Loom {
    /// Serves until `shutdown` fires, then stops in this order: no more connections and turns; running turns have the
    /// configured time to end, and are cancelled after it; their callers are told; connections are closed; and then the
    /// rest, as [`close`](Self::close) does. Other Looms in this process go on.
    pub async fn serve(self, bound: Bound, shutdown: CancellationToken) {
        let runtime = Arc::clone(&self.runtime);
        let drain_time = bound.drain_time;
        let work = async move { runtime.sessions().shut_down(drain_time).await };
        bound.serve_until(shutdown, work).await;
        self.close(Duration::ZERO).await;
    }
}

/// Whether a server is ready: its store works, and it is not stopping.
struct Readiness {
    ready: watch::Sender<bool>,
    runtime: Arc<Runtime>,
    clock: Arc<dyn Clock>,
}

impl Readiness {
    /// Whether that is news.
    fn say(&self, is_ready: bool) -> bool {
        self.ready.send_if_modified(|ready| std::mem::replace(ready, is_ready) != is_ready)
    }

    async fn follow_store(self, shutdown: CancellationToken) -> Infallible {
        let follow = async {
            loop {
                let status = self.runtime.store_status().await;
                let changed = self.say(status.is_ok());
                match status {
                    Ok(_) if changed => tracing::info!("the store works"),
                    Err(error) if changed => tracing::warn!(%error, "not ready: the store does not work"),
                    _ => {}
                }
                self.clock.sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = follow => {}
            () = shutdown.cancelled() => {}
        }
        self.say(false);
        std::future::pending().await
    }
}

/// The address that others are told. One that means every address of this machine means nothing to them.
fn advertised(wanted: Option<&str>, listening: SocketAddr) -> Result<String, Error> {
    let Some(wanted) = wanted else {
        if listening.ip().is_unspecified() {
            let message = format!(
                "the server listens on {listening}, which is no address that others who share the database can reach: say \
                 by `storage.advertise` at which host and port they do"
            );
            return Err(Error::new(ErrorCode::InvalidConfig, message));
        }
        return Ok(listening.to_string());
    };
    let port = listening.port();
    Ok(match wanted.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) if wanted.contains(':') => wanted.to_owned(),
        Err(_) => format!("{wanted}:{port}"),
    })
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use loom_base::ErrorCode;
    use loom_llm_mock::{MockProvider, Script};
    use loom_runtime::{AgentDefinition, TurnRequest};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::Semaphore;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::SystemClock;

    #[test]
    fn what_others_are_told_is_an_address_they_can_reach() {
        let local = SocketAddr::from(([127, 0, 0, 1], 7));
        let all = SocketAddr::from(([0, 0, 0, 0], 7));
        let told = |wanted, listening| advertised(wanted, listening).map_err(|error| error.code);
        assert_eq!(told(None, local).unwrap(), "127.0.0.1:7");
        for every in [all, SocketAddr::from(([0_u16; 8], 7))] {
            assert_eq!(told(None, every).unwrap_err(), ErrorCode::InvalidConfig);
        }
        for (wanted, expected) in [
            ("db-1.example", "db-1.example:7"),
            ("db-1.example:8", "db-1.example:8"),
            ("10.0.0.1", "10.0.0.1:7"),
            ("10.0.0.1:8", "10.0.0.1:8"),
            ("fe80::1", "[fe80::1]:7"),
            ("[fe80::1]:8", "[fe80::1]:8"),
        ] {
            assert_eq!(told(Some(wanted), all).unwrap(), expected);
        }
    }

    /// Asks until the answer holds `wanted`.
    async fn until(address: SocketAddr, path: &str, wanted: &str) {
        let looking = async {
            loop {
                let mut connection = TcpStream::connect(address).await.unwrap();
                let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
                connection.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                connection.read_to_string(&mut answer).await.unwrap();
                if answer.contains(wanted) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looking)
            .await
            .unwrap_or_else(|_| panic!("{path} never says {wanted}"));
    }

    #[tokio::test]
    async fn readiness_goes_with_a_store_that_cannot_write_and_comes_back_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let provider =
            MockProvider::new(Script::parse("default: { text: fine }").unwrap(), Arc::new(SystemClock));
        let builder =
            Loom::builder().data_dir(folder.path()).provider("mock", "script-1", Arc::new(provider));
        let loom = builder.agent(AgentDefinition::named("tester")).build().await.unwrap();
        let stop = CancellationToken::new();
        let bound = loom.bind(&ServeOptions::local()).await.unwrap();
        let http = bound.http.unwrap();
        let serving = tokio::spawn(bound.serve(stop.clone()));
        until(http, "/readyz", "200 OK").await;

        let Store::Sqlite(store) = &loom.store else { panic!("it is a file") };
        store.limit_size(1).await.unwrap();
        let refused = loom.start(TurnRequest::new("x".repeat(100_000))).await.err().unwrap();
        assert_eq!(refused.code, ErrorCode::StoreUnavailable);
        until(http, "/readyz", "503 Service Unavailable").await;
        until(http, "/v1/health", "\"status\":\"degraded\"").await;
        until(http, "/v1/server/storage", "\"healthy\":false").await;
        // It stays so while nothing is asked of it.
        until(http, "/readyz", "503 Service Unavailable").await;

        store.limit_size(1 << 40).await.unwrap();
        until(http, "/readyz", "200 OK").await;
        until(http, "/v1/health", "\"status\":\"healthy\"").await;
        stop.cancel();
        serving.await.unwrap();
        loom.close(Duration::ZERO).await;
    }

    const CALLS: &str = "
rules: [{ when: { contains: go }, reply: { tool_calls: [{ name: wait, arguments: {} }] } }]
default: { text: 'done' }
";

    #[tokio::test]
    async fn a_turn_goes_on_by_itself_once_the_store_works_again() {
        let folder = tempfile::tempdir().unwrap();
        let provider = MockProvider::new(Script::parse(CALLS).unwrap(), Arc::new(SystemClock));
        let (called, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (calls, goes) = (Arc::clone(&called), Arc::clone(&go));
        let tool = crate::FunctionTool::pure("wait", "Waits.", json!({ "type": "object" }), move |_| {
            let (calls, goes) = (Arc::clone(&calls), Arc::clone(&goes));
            async move {
                calls.add_permits(1);
                goes.acquire().await.map_err(|error| error.to_string())?.forget();
                Ok(json!("x".repeat(200_000)))
            }
        });
        let builder =
            Loom::builder().data_dir(folder.path()).provider("mock", "script-1", Arc::new(provider));
        let loom = builder.tool(tool).agent(AgentDefinition::named("tester")).build().await.unwrap();
        let running = loom.start(TurnRequest::new("go")).await.unwrap();
        called.acquire().await.unwrap().forget();
        let Store::Sqlite(store) = &loom.store else { panic!("it is a file") };
        store.limit_size(1).await.unwrap();
        go.add_permits(1);
        assert_eq!(running.end().await.unwrap_err().error.code, ErrorCode::StoreUnavailable);
        store.limit_size(1 << 40).await.unwrap();
        go.add_permits(1);
        let sessions = loom.runtime().sessions();
        let again = sessions.attach(running.turn, None, loom_access::Principal::Local).await.unwrap();
        assert_eq!(again.end().await.unwrap().text, "done");
        loom.close(Duration::ZERO).await;
    }
}
