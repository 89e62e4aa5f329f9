//! PostgreSQL: each query in a transaction that can only read and is rolled back.

mod parameters;
mod schema;
mod session;
mod url;
mod values;

use async_trait::async_trait;
use loom_base::Secret;
use loom_fabric::{BackendErrorKind, Cell, Dialect, QueryLimits, Schema, TlsMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Postgres};

use crate::backend::Engine;
use crate::bounds::Bounds;
use crate::failure::Failure;
use crate::options::SqlOptions;
use crate::pool::ConnectionPool;
use crate::rows::Rows;
use crate::walls::{AdmittedQuery, Walls};
use session::Session;

/// The connections to one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresEngine {
    pool: ConnectionPool<Postgres>,
}

impl PostgresEngine {
    /// Prepares connections to the database of `dsn`; opens none yet.
    pub(crate) fn new(dsn: &Secret, options: &SqlOptions) -> Result<Self, Failure> {
        let mut connect =
            protect(url::read(dsn)?, options)?.statement_cache_capacity(0).disable_statement_logging();
        if connect.get_application_name().is_none() {
            connect = connect.application_name("loom");
        }
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .acquire_timeout(options.connect_timeout)
            .connect_lazy_with(connect);
        Ok(Self { pool: ConnectionPool::new(pool, options.max_idle_connections) })
    }
}

fn protect(mut connect: PgConnectOptions, options: &SqlOptions) -> Result<PgConnectOptions, Failure> {
    if let Some(mode) = options.tls {
        connect = connect.ssl_mode(match mode {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        });
    }
    if let Some(path) = &options.root_certificate {
        let pem = std::fs::read(path).map_err(|error| {
            let path = path.display();
            Failure::unavailable(format!("the root certificate {path} cannot be read: {}", error.kind()))
        })?;
        connect = connect.ssl_root_cert_from_pem(pem);
    }
    Ok(connect)
}

#[async_trait]
impl Engine for PostgresEngine {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn run(
        &self,
        query: AdmittedQuery,
        parameters: Vec<Cell>,
        limits: QueryLimits,
        walls: Walls,
        bounds: &mut Bounds<'_>,
    ) -> Result<Rows, Failure> {
        let mut session = Session::acquire(&self.pool, walls, bounds).await?;
        let outcome = bounds.run(session.answer(&query, parameters, limits)).await;
        session.release(&self.pool, outcome.is_err(), bounds).await;
        outcome?
    }

    async fn discover(&self, bounds: &mut Bounds<'_>) -> Result<Schema, Failure> {
        let mut session = Session::acquire(&self.pool, Walls::ALL, bounds).await?;
        let outcome = bounds.run(schema::discover(session.connection())).await;
        session.release(&self.pool, outcome.is_err(), bounds).await;
        outcome?.map_err(|error| failure(&error))
    }

    /// Uses an idle connection, else one of its own: so it neither waits for busy ones, nor for the pool, which tries a
    /// refused connection again until its time is up.
    async fn probe(&self, bounds: &mut Bounds<'_>) -> Result<(), Failure> {
        let answer = bounds.run(async {
            if let Some(mut idle) = self.pool.pool().try_acquire() {
                return idle.ping().await;
            }
            let own = self.pool.pool().connect_options().connect().await?;
            own.close().await
        });
        answer.await?.map_err(|error| failure(&error))
    }

    async fn close(&self) {
        self.pool.pool().close().await;
    }
}

/// Sorts PostgreSQL's error codes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(crate) fn failure(error: &sqlx::Error) -> Failure {
    Failure::from_sqlx(error, |reported| {
        let code = reported.code().unwrap_or_default();
        match code.as_ref() {
            "25006" => BackendErrorKind::Refused,
            "57014" => BackendErrorKind::TimedOut,
            "3D000" => BackendErrorKind::Unavailable,
            code if ["08", "28", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                BackendErrorKind::Unavailable
            }
            _ => BackendErrorKind::Failed,
        }
    })
}
