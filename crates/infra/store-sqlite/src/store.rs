//! Opens and closes the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loom_base::Clock;
use loom_store::{Error, Stores};
use loom_store_sql::follow_messages;
use loom_telemetry::Metrics;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::task::JoinHandle;

use crate::connect::Settings;
use crate::directory::{Directory, LOCK_FILE};
use crate::error::unavailable;
use crate::mark::ours;
use crate::writer::{LimitSize, Queue, SizeLimit, Sqlite, Writer};
use crate::{agents, connect, health, leases, messages, search, sessions, spans, turns, upkeep};

pub(crate) const DATABASE: &str = "loom.db";
const SPANS: &str = "spans.db";

/// Where the store is, and how much it may use.
#[derive(Clone)]
pub struct Options {
    /// The data directory; made when there is none.
    pub directory: PathBuf,
    /// The database; `loom.db` in the directory when `None`. One that is elsewhere is locked as well.
    pub database: Option<PathBuf>,
    /// Connections that read, at most.
    pub readers: u32,
    /// Spans kept; the oldest beyond them go.
    pub kept_spans: u32,
    /// How long a write waits for a lock that another program, such as a backup, holds.
    pub lock_wait: Duration,
    /// Says since when the directory is in use, and how long a read took.
    pub clock: Arc<dyn Clock>,
    /// Counts the commits.
    pub metrics: Arc<Metrics>,
}

impl Options {
    /// A store in `directory` with the usual bounds: 6 readers, 200,000 spans, 5 s for another program's lock.
    pub fn new(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let directory = directory.into();
        let lock_wait = Duration::from_secs(5);
        let metrics = Arc::default();
        Self { directory, database: None, readers: 6, kept_spans: 200_000, lock_wait, clock, metrics }
    }
}

/// An open store. Its writer ends with [`close`](Self::close), or after the last of its [`Stores`] is dropped.
pub struct SqliteStore {
    /// The main one, and that of the spans.
    databases: [PathBuf; 2],
    stores: Stores,
    queue: Queue,
    reads: SqlitePool,
    spans: SqlitePool,
    clock: Arc<dyn Clock>,
    writer: JoinHandle<Sqlite>,
    size_limit: Arc<SizeLimit>,
}

impl SqliteStore {
    /// Opens the store, brings its schema up to date and starts its writer on the current tokio runtime.
    ///
    /// [`Error::Locked`] when the directory is in use, also by this process; [`Error::Foreign`] when the database is
    /// another program's; [`Error::TooNew`] when a newer Loom has written to it.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let now = options.clock.now();
        let mut directory = Directory::lock(&options.directory, now)?;
        let path = directory.database(options.database.as_deref().unwrap_or(Path::new(DATABASE)), now)?;
        let settings = |path| Settings { path, lock_wait: options.lock_wait };
        let main = settings(path.clone());
        let beside = settings(directory.file(SPANS)?);
        for file in [&main.path, &beside.path] {
            ours(file).await?;
        }
        let mut connection = connect::writer(&main).await.map_err(|error| unavailable(&error))?;
        refuse_newer(&mut connection).await?;
        let conversations = async {
            migrate(&mut connection, &loom_migrations::SQLITE, &main.path).await?;
            connect::readers(&main, options.readers).await.map_err(|error| unavailable(&error))
        };
        let (reads, spans) = futures::try_join!(conversations, open_spans(&beside))?;
        let databases = [path, beside.path];
        let size_limit = Arc::new(SizeLimit::default());
        let copied = main.clone();
        let engine = Sqlite::new(main, Arc::clone(&size_limit), directory);
        let (queue, writer) = Writer::new(engine, connection, options.metrics);
        let stores = Stores {
            sessions: Arc::new(sessions::Sessions::new(queue.clone(), reads.clone())),
            turns: Arc::new(turns::Turns::new(queue.clone(), reads.clone())),
            messages: Arc::new(messages::Messages::new(queue.clone(), reads.clone())),
            agents: Arc::new(agents::Agents::new(queue.clone(), reads.clone())),
            spans: Arc::new(spans::Spans::new(spans.clone(), options.kept_spans)),
            leases: Arc::new(leases::Leases::new(queue.clone(), reads.clone())),
            health: Arc::new(health::Health::new(
                queue.clone(),
                reads.clone(),
                databases.clone(),
                Arc::clone(&options.clock),
            )),
            upkeep: Arc::new(upkeep::Upkeep::new(queue.clone(), reads.clone(), copied)),
        };
        let clock = options.clock;
        Ok(Self {
            databases,
            stores,
            queue,
            reads,
            spans,
            clock,
            writer: tokio::spawn(writer.run()),
            size_limit,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        let [main, _] = &self.databases;
        main
    }

    /// Every file of the store, there or not: its databases, what SQLite keeps beside them, and the locks.
    pub fn files(&self) -> Vec<PathBuf> {
        let [_, spans] = &self.databases;
        let beside = |file: &PathBuf| {
            ["", "-wal", "-shm", "-journal", ".lock"].map(|suffix| {
                let mut name = file.clone().into_os_string();
                name.push(suffix);
                PathBuf::from(name)
            })
        };
        let files = self.databases.iter().flat_map(beside).chain([spans.with_file_name(LOCK_FILE)]);
        files.map(|file| std::path::absolute(&file).unwrap_or(file)).collect()
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

    /// Bounds the database to about `bytes`, from now on: a write that needs more fails with [`Error::Unavailable`].
    /// Never shrinks it.
    pub async fn limit_size(&self, bytes: u64) -> Result<(), Error> {
        self.queue.write(LimitSize { limit: Arc::clone(&self.size_limit), bytes }).await
    }

    /// Finishes what is queued, closes all files and frees the directory. Whoever still uses the stores gets
    /// [`Error::Unavailable`].
    pub async fn close(self) {
        // The readers first: the last to leave folds the log into the database, and they cannot.
        self.reads.close().await;
        self.spans.close().await;
        self.queue.close();
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "the writer did not end by itself");
        }
    }
}

async fn open_spans(settings: &Settings) -> Result<SqlitePool, Error> {
    let spans = connect::spans(settings).await.map_err(|error| unavailable(&error))?;
    let mut connection = spans.acquire().await.map_err(|error| unavailable(&error))?;
    migrate(&mut connection, &loom_migrations::SQLITE_SPANS, &settings.path).await?;
    Ok(spans)
}

/// A newer schema is refused, and so is one that says it needs a newer binary.
pub(crate) async fn refuse_newer(connection: &mut SqliteConnection) -> Result<(), Error> {
    let known = loom_migrations::newest(&loom_migrations::SQLITE);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', '_sqlx_migrations')")
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| unavailable(&error))?;
    if tables < 2 {
        return Ok(());
    }
    let found = "SELECT max(coalesce((SELECT max(version) FROM _sqlx_migrations), 0),
                            coalesce((SELECT value FROM meta WHERE key = 'min_binary'), 0))";
    let found = sqlx::query_scalar(found).fetch_one(connection).await.map_err(|error| unavailable(&error))?;
    if found > known { Err(Error::TooNew { found, known }) } else { Ok(()) }
}

async fn migrate(connection: &mut SqliteConnection, migrator: &Migrator, path: &Path) -> Result<(), Error> {
    // `run` takes `Acquire`, which makes this future one that cannot be spawned.
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            Error::TooNew { found, known: loom_migrations::newest(migrator) }
        }
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => {
            Error::Corrupt { what: format!("the schema of {}", path.display()), reason: error.to_string() }
        }
        other => Error::Unavailable { reason: other.to_string() },
    })
}
