//! A SQL database as an agent's backend.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loom_base::{Clock, Secret, Timestamp};
use loom_fabric::{
    BackendError, BackendErrorKind, Capabilities, Cell, Dialect, ExecutionBackend, QueryContext, QueryLimits,
    QueryResult, Resource, Schema,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::Bounds;
use crate::failure::Failure;
use crate::options::SqlOptions;
use crate::postgres::PostgresEngine;
use crate::rows::Rows;
use crate::sqlite::SqliteEngine;
use crate::walls::{AdmittedQuery, Walls};

/// How long looking at the schema may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections to one database, and how its engine is driven. Every operation leaves its connection fit for the
/// next one, also when `bounds` cut it off.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The SQL it speaks.
    const DIALECT: Dialect;

    /// Runs a query up to the caps.
    async fn run(
        &self,
        query: AdmittedQuery,
        parameters: Vec<Cell>,
        limits: QueryLimits,
        walls: Walls,
        bounds: &mut Bounds<'_>,
    ) -> Result<Rows, Failure>;

    /// Looks at the whole schema.
    async fn discover(&self, bounds: &mut Bounds<'_>) -> Result<Schema, Failure>;

    /// Asks for the smallest sign of life.
    async fn probe(&self, bounds: &mut Bounds<'_>) -> Result<(), Failure>;

    /// Closes the connections once they are idle.
    async fn close(&self);
}

/// A SQL database that agents can read.
///
/// Three walls keep a query from changing anything; each holds alone.
/// 1. The parser admits one statement, which must be SELECT, VALUES, WITH or EXPLAIN without ANALYZE, down to the last
///    subquery. What it cannot read is refused with its position.
/// 2. Functions: SQLite's must be on a list of those that only compute; PostgreSQL's are looked up in `pg_proc` and
///    must not be volatile, a few named ones aside. So are names after a dot, operators and casts, which call functions.
/// 3. The connection: SQLite's is opened for reading only; PostgreSQL's queries run in a READ ONLY transaction that is
///    rolled back, and nothing of a session outlives its query.
///
/// What they do not stop: a query that takes much memory for one value; and in PostgreSQL what reaches outside the
/// database from a view, a row policy or a cast that is not written, or from a function that its owner declared stable
/// (what these change inside it, the third wall stops alone). A role that may only read what agents should see is the
/// remedy.
pub struct SqlBackend<E> {
    name: String,
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    options: SqlOptions,
    walls: Walls,
    engine: Mutex<Option<Arc<E>>>,
    tasks: TaskTracker,
    schema: tokio::sync::Mutex<Option<(Timestamp, Arc<Schema>)>>,
}

/// A SQLite file that agents can read.
///
/// Values come by the class they are stored in; 0 and 1 of a column declared BOOLEAN as truth values.
pub type SqliteBackend = SqlBackend<SqliteEngine>;

/// A PostgreSQL database that agents can read.
///
/// Values come typed: `numeric` as decimals, times in ISO 8601, `json` and arrays as JSON, `bytea` as bytes. A type with
/// no kind of its own (`uuid`, `inet`, `interval`, ranges, enums, those of extensions) comes as the text PostgreSQL
/// prints. A text given for a parameter of any other type is cast to it by PostgreSQL.
pub type PostgresBackend = SqlBackend<PostgresEngine>;

impl SqliteBackend {
    /// Opens the database file at `path`. Refused if it is one of the forbidden files under any name; unavailable if it
    /// is missing or no database.
    pub async fn open(
        name: impl Into<String> + Send,
        path: &Path,
        options: SqlOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackendError> {
        crate::SharedPools::new(clock).sqlite(name, path, options).await
    }
}

impl PostgresBackend {
    /// Connects to the database of `dsn`, a URL such as `postgres://user:password@host:5432/database`. What `dsn` leaves
    /// out is taken from libpq's environment variables and password file. Unavailable if it does not answer within the
    /// connect timeout.
    pub async fn connect(
        name: impl Into<String> + Send,
        dsn: &Secret,
        options: SqlOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackendError> {
        crate::SharedPools::new(clock).postgres(name, dsn, options).await
    }
}

impl<E: Engine> SqlBackend<E> {
    pub(crate) fn new(
        name: String,
        engine: Arc<E>,
        options: SqlOptions,
        walls: Walls,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let capabilities =
            Capabilities { dialect: E::DIALECT, read_only: true, tools: options.tools.clone() };
        Self {
            name,
            capabilities,
            clock,
            options,
            walls,
            engine: Mutex::new(Some(engine)),
            tasks: TaskTracker::new(),
            schema: tokio::sync::Mutex::new(None),
        }
    }

    fn error(&self, failure: Failure) -> BackendError {
        BackendError::new(&self.name, failure.kind, failure.message)
    }

    /// The engine, unless this backend was closed.
    pub(crate) fn engine(&self) -> Result<Arc<E>, BackendError> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().ok_or_else(|| self.error(Failure::unavailable("the backend is closed")))
    }

    /// Runs `work` as a task of its own, so that it cleans up after itself even when the caller drops this future; the
    /// drop fires the token given to it, as `cancel` does.
    async fn guarded<T, F>(
        &self,
        cancel: &CancellationToken,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let stop = cancel.child_token();
        let _fires_on_drop = stop.clone().drop_guard();
        let outcome = self.tasks.spawn(work(stop)).await;
        outcome
            .unwrap_or_else(|_| Err(Failure::failed("the query ended unexpectedly")))
            .map_err(|failure| self.error(failure))
    }

    async fn discover(&self) -> Result<Schema, BackendError> {
        let engine = self.engine()?;
        let clock = Arc::clone(&self.clock);
        let mut schema = self
            .guarded(&CancellationToken::new(), |stop| async move {
                let mut bounds = Bounds::start(&*clock, DISCOVERY_TIMEOUT, stop);
                engine.discover(&mut bounds).await
            })
            .await?;
        schema.tables.retain(|table| self.options.tables.admits(&table.resource));
        Ok(schema)
    }
}

#[async_trait]
impl<E: Engine> ExecutionBackend for SqlBackend<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn description(&self) -> Option<&str> {
        self.options.description.as_deref()
    }

    async fn execute_query(
        &self,
        query: &str,
        parameters: &[Cell],
        context: &QueryContext,
    ) -> Result<QueryResult, BackendError> {
        let engine = self.engine()?;
        let query = self
            .walls
            .admit(E::DIALECT, query, parameters.len())
            .await
            .map_err(|failure| self.error(failure))?;
        let (parameters, limits, walls) = (parameters.to_vec(), context.limits, self.walls);
        let clock = Arc::clone(&self.clock);
        let started = self.clock.now();
        let rows = self
            .guarded(&context.cancel, |stop| async move {
                let mut bounds = Bounds::start(&*clock, limits.timeout, stop);
                engine.run(query, parameters, limits, walls, &mut bounds).await
            })
            .await?;
        Ok(rows.finish(self.clock.now().since(started)))
    }

    async fn get_schema(&self) -> Result<Arc<Schema>, BackendError> {
        let mut cached = self.schema.lock().await;
        if let Some((at, schema)) = cached.as_ref()
            && self.clock.now().since(*at) < self.options.schema_cache_ttl
        {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(self.discover().await?);
        *cached = Some((self.clock.now(), Arc::clone(&schema)));
        Ok(schema)
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, BackendError> {
        Ok(self.get_schema().await?.tables.iter().map(|table| table.resource.clone()).collect())
    }

    async fn ping(&self, deadline: Duration) -> Result<Duration, BackendError> {
        let engine = self.engine()?;
        let clock = Arc::clone(&self.clock);
        let started = self.clock.now();
        let never = CancellationToken::new();
        let answer = self.guarded(&never, |stop| async move {
            let mut bounds = Bounds::start(&*clock, deadline, stop);
            engine.probe(&mut bounds).await
        });
        match answer.await {
            Ok(()) => Ok(self.clock.now().since(started)),
            Err(error) if error.kind == BackendErrorKind::TimedOut => {
                Err(self.error(Failure::unavailable(format!("no answer within {deadline:?}"))))
            }
            Err(error) => Err(error),
        }
    }

    async fn close(&self) {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tasks.close();
        self.tasks.wait().await;
        // The pool is closed by the last backend that shares it.
        if let Some(engine) = engine.and_then(Arc::into_inner) {
            engine.close().await;
        }
    }
}

impl<E> std::fmt::Debug for SqlBackend<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlBackend").field("name", &self.name).finish_non_exhaustive()
    }
}
