//! One query's use of a connection, from BEGIN to a clean slate.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use loom_fabric::{Cell, QueryLimits};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Executor as _, Postgres, Row as _,
    SqlSafeStr as _, Statement as _,
};

use super::{failure, parameters, values};
use crate::bounds::Bounds;
use crate::failure::Failure;
use crate::pool::ConnectionPool;
use crate::rows::Rows;
use crate::walls::{AdmittedQuery, Walls, postgres_functions};

/// Rows fetched at first, and at most, at a time. The server computes all of them before it sends one.
const FIRST_FETCH: usize = 8;
const LARGEST_FETCH: usize = 256;

/// What the values' text forms and the tokeniser's reading of strings rest on.
const SETTINGS: &str = "SET LOCAL standard_conforming_strings = on; SET LOCAL DateStyle = 'ISO, MDY'; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; \
    SET LOCAL extra_float_digits = 1";

/// A connection in a transaction.
pub(super) struct Session {
    connection: PoolConnection<Postgres>,
    options: Arc<PgConnectOptions>,
    walls: Walls,
    /// The server process at the other end.
    process: i32,
}

impl Session {
    /// Takes a connection and begins a transaction that can only read.
    pub(super) async fn acquire(
        pool: &ConnectionPool<Postgres>,
        walls: Walls,
        bounds: &mut Bounds<'_>,
    ) -> Result<Self, Failure> {
        let mut connection = pool.acquire(bounds).await?.map_err(|error| failure(&error))?;
        let timeout = bounds.limit();
        let begun = bounds.run(begin(&mut connection, walls, timeout)).await;
        match begun {
            Ok(Ok(process)) => {
                Ok(Self { connection, options: pool.pool().connect_options(), walls, process })
            }
            Ok(Err(error)) => {
                pool.give_up(connection);
                Err(failure(&error))
            }
            Err(interrupt) => {
                pool.give_up(connection);
                Err(interrupt.into())
            }
        }
    }

    /// The connection, for queries of our own.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Judges the query's functions, runs it and takes rows up to the caps.
    ///
    /// The query becomes a cursor's: the extended protocol takes no second statement and binds the parameters, and
    /// rows are fetched as text, in which every type has a form.
    pub(super) async fn answer(
        &mut self,
        query: &AdmittedQuery,
        parameters: Vec<Cell>,
        limits: QueryLimits,
    ) -> Result<Rows, Failure> {
        if self.walls.functions {
            postgres_functions::check(&mut self.connection, &query.census).await?;
        }
        if query.explain {
            return self.explain(&query.sql, limits).await.map_err(|error| failure(&error));
        }
        let bound = parameters::bind(&mut self.connection, query, parameters).await?;
        self.fetch(bound, limits).await.map_err(|error| failure(&error))
    }

    async fn fetch(&mut self, bound: parameters::Bound, limits: QueryLimits) -> Result<Rows, sqlx::Error> {
        let mut rows = Rows::new(limits);
        let declare = format!("DECLARE loom_query NO SCROLL CURSOR FOR {}", bound.sql);
        sqlx::query_with(AssertSqlSafe(declare), bound.arguments)
            .persistent(false)
            .execute(&mut *self.connection)
            .await?;
        let mut wanted = rows.wanted(FIRST_FETCH);
        while self.fetch_some(&mut rows, wanted).await? == wanted && !rows.truncated() {
            wanted = rows.wanted(LARGEST_FETCH);
        }
        if !rows.has_columns() {
            let statement = self.connection.prepare(AssertSqlSafe(bound.sql).into_sql_str()).await?;
            rows.name_columns(statement.columns().iter().map(|column| column.name().to_owned()));
        }
        Ok(rows)
    }

    /// Fetches up to `wanted` rows and returns how many came before a cap was reached. The cursor stays where it is
    /// until it is asked again: between two fetches the server rests.
    async fn fetch_some(&mut self, rows: &mut Rows, wanted: usize) -> Result<usize, sqlx::Error> {
        let fetch = format!("FETCH FORWARD {wanted} FROM loom_query");
        let mut stream = sqlx::raw_sql(AssertSqlSafe(fetch)).fetch(&mut *self.connection);
        let mut fetched = 0;
        while let Some(row) = stream.try_next().await? {
            fetched += 1;
            if take(rows, &row)?.is_break() {
                break;
            }
        }
        Ok(fetched)
    }

    /// A plan cannot be a cursor's.
    async fn explain(&mut self, sql: &str, limits: QueryLimits) -> Result<Rows, sqlx::Error> {
        let mut rows = Rows::new(limits);
        let mut stream = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *self.connection);
        while let Some(row) = stream.try_next().await? {
            if take(&mut rows, &row)?.is_break() {
                break;
            }
        }
        Ok(rows)
    }

    /// Ends the transaction and clears the session. A server that still works, because the query was `interrupted`, is
    /// told to stop first. A connection that cannot be cleared is thrown away.
    pub(super) async fn release(
        mut self,
        pool: &ConnectionPool<Postgres>,
        interrupted: bool,
        bounds: &mut Bounds<'_>,
    ) {
        let cleared = bounds.grace(self.clear(interrupted)).await;
        if let Some(Ok(())) = cleared {
            pool.give_back(self.connection, bounds).await;
        } else {
            tracing::warn!("a PostgreSQL connection could not be cleared and is given up");
            pool.give_up(self.connection);
        }
    }

    async fn clear(&mut self, interrupted: bool) -> Result<(), sqlx::Error> {
        if interrupted {
            cancel(&self.options, self.process).await?;
            drain(&mut self.connection).await?;
        }
        if !self.walls.connection {
            self.connection.execute("COMMIT").await?;
            return Ok(());
        }
        self.connection.execute("ROLLBACK").await?;
        // Advisory locks, temporary tables, settings, prepared statements.
        self.connection.execute("DISCARD ALL").await?;
        Ok(())
    }
}

/// Begins a transaction and returns the number of the server process.
async fn begin(connection: &mut PgConnection, walls: Walls, timeout: Duration) -> Result<i32, sqlx::Error> {
    let read_only = if walls.connection { "READ ONLY" } else { "" };
    let limit = timeout.as_millis().clamp(1, 2_147_483_647);
    let begin = format!(
        "BEGIN {read_only}; SET LOCAL statement_timeout = {limit}; {SETTINGS}; SELECT pg_backend_pid()"
    );
    let rows = sqlx::raw_sql(AssertSqlSafe(begin)).fetch_all(connection).await?;
    rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
}

/// Takes a row; breaks at a cap.
fn take(rows: &mut Rows, row: &PgRow) -> Result<ControlFlow<()>, sqlx::Error> {
    rows.name_columns(row.columns().iter().map(|column| column.name().to_owned()));
    Ok(rows.push(values::cells(row)?))
}

/// Stops what the server process is doing, over a connection of its own.
async fn cancel(options: &PgConnectOptions, process: i32) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("SELECT pg_cancel_backend($1)").bind(process).execute(&mut connection).await?;
    connection.close().await
}

/// Reads what the server still sends, the error of a cancelled query included, until it is ready.
async fn drain(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const ERRORS_AT_MOST: usize = 3;
    for _ in 0..ERRORS_AT_MOST {
        match connection.ping().await {
            Err(sqlx::Error::Database(_)) => {}
            other => return other,
        }
    }
    connection.ping().await
}
