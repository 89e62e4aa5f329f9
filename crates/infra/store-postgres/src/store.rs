//! Opens and closes the store.

use std::sync::Arc;
use std::time::Duration;

use loom_base::{Clock, Secret};
use loom_store::{Error, Stores};
use loom_store_sql::follow_messages;
use loom_telemetry::Metrics;
use tokio::task::JoinHandle;

use crate::connect::{Pool, Settings};
use crate::error::unavailable;
use crate::writer::{Postgres, Queue, Writer};
use crate::{agents, health, leases, messages, schema, search, sessions, spans, turns, upkeep};

/// Where the store is, and how much it may use.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database`, with the parameters that [the driver][parameters] knows; one that it
    /// does not know is refused. Without `sslmode`, TLS is used where the server offers it.
    ///
    /// [parameters]: https://docs.rs/sqlx/0.9.0/sqlx/postgres/struct.PgConnectOptions.html
    pub url: Secret,
    /// Connections that read, at most. Two more write spans, one says that we are alive, and one writes everything else.
    pub readers: u32,
    /// Spans kept; the oldest beyond them go.
    pub kept_spans: u32,
    /// How long a read waits for a connection, and how long opening one may take.
    pub connect_timeout: Duration,
    /// How long a statement may take; the server ends it then.
    pub statement_timeout: Duration,
    /// How long a write waits for a lock that another program holds.
    pub lock_wait: Duration,
    /// Says how long a read took, and lets the index wait for quiet.
    pub clock: Arc<dyn Clock>,
    /// Counts the commits.
    pub metrics: Arc<Metrics>,
}

impl Options {
    /// A store at `url` with the usual bounds: 6 readers, 200,000 spans, 5 s for a connection, 30 s for a statement, 5 s
    /// for another program's lock.
    pub fn new(url: Secret, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            readers: 6,
            kept_spans: 200_000,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_wait: Duration::from_secs(5),
            clock,
            metrics: Arc::default(),
        }
    }
}

/// An open store. Its writer ends with [`close`](Self::close), or after the last of its [`Stores`] is dropped.
pub struct PostgresStore {
    stores: Stores,
    queue: Queue,
    reads: Pool,
    spans: Pool,
    heartbeat: Pool,
    clock: Arc<dyn Clock>,
    writer: JoinHandle<Postgres>,
}

impl PostgresStore {
    /// Opens the store, brings its schema up to date and starts its writer on the current tokio runtime. Of several that
    /// open at once, one changes the schema and the others wait.
    ///
    /// [`Error::TooNew`] when a newer Loom has changed the schema.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let settings = Settings::new(&options)?;
        schema::prepare(&settings).await?;
        let connection = settings.writer().await.map_err(|error| unavailable(&error))?;
        let (reads, spans, heartbeat) =
            (settings.readers(options.readers), settings.spans(), settings.heartbeat());
        let (queue, writer) = Writer::new(Postgres::new(settings), connection, options.metrics);
        let clock = options.clock;
        let stores = Stores {
            sessions: Arc::new(sessions::Sessions::new(queue.clone(), reads.clone())),
            turns: Arc::new(turns::Turns::new(queue.clone(), reads.clone())),
            messages: Arc::new(messages::Messages::new(queue.clone(), reads.clone())),
            agents: Arc::new(agents::Agents::new(queue.clone(), reads.clone())),
            spans: Arc::new(spans::Spans::new(spans.clone(), options.kept_spans)),
            leases: Arc::new(leases::Leases::new(queue.clone(), heartbeat.clone())),
            health: Arc::new(health::Health::new(queue.clone(), reads.clone(), Arc::clone(&clock))),
            upkeep: Arc::new(upkeep::Upkeep::new(queue.clone(), reads.clone())),
        };
        Ok(Self { stores, queue, reads, spans, heartbeat, clock, writer: tokio::spawn(writer.run()) })
    }

    /// The stores.
    pub fn stores(&self) -> Stores {
        self.stores.clone()
    }

    /// Brings the full-text index forward whenever new messages have come and a moment has passed in quiet. To be
    /// spawned; ends when the store is closed. Without it search still finds everything, by reading what is not indexed.
    pub fn index_in_background(&self) -> impl Future<Output = ()> + Send + use<> {
        follow_messages(self.queue.clone(), Arc::clone(&self.clock), search::IndexMore)
    }

    /// Transactions committed since the store was opened.
    pub fn commits(&self) -> u64 {
        self.queue.commits()
    }

    /// Finishes what is queued and closes all connections. Whoever still uses the stores gets [`Error::Unavailable`].
    pub async fn close(self) {
        self.reads.connections().close().await;
        self.spans.connections().close().await;
        self.heartbeat.connections().close().await;
        self.queue.close();
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "the writer did not end by itself");
        }
    }
}
