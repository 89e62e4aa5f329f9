//! SQLite: files opened for reading only, and a brake that stops a running statement.

mod connections;
mod schema;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use loom_fabric::{BackendErrorKind, Cell, Dialect, QueryLimits, Schema};
use loom_telemetry::redact;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
};

use crate::backend::Engine;
use crate::bounds::Bounds;
use crate::failure::Failure;
use crate::options::SqlOptions;
use crate::rows::Rows;
use crate::walls::{AdmittedQuery, Walls};
use connections::{Connections, Taken};

/// How long to wait for a writer of the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Rows that the engine may be ahead of the reader.
const ROWS_AHEAD: usize = 8;

/// The connections to one SQLite file.
#[derive(Debug)]
pub struct SqliteEngine {
    connections: Connections,
}

impl SqliteEngine {
    /// Prepares connections to the file at `path`, which must be canonical; opens none yet.
    pub(crate) fn new(path: &Path, options: &SqlOptions, walls: Walls) -> Self {
        let mut connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROWS_AHEAD)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        if walls.connection {
            connect = connect.read_only(true).pragma("query_only", "on").pragma("trusted_schema", "off");
        }
        let most = usize::try_from(options.max_connections).unwrap_or(usize::MAX);
        let most_idle = usize::try_from(options.max_idle_connections).unwrap_or(usize::MAX);
        Self { connections: Connections::new(connect, most, most_idle, options.connect_timeout) }
    }

    /// How often running statements looked at their brakes.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> u64 {
        self.connections.looks()
    }

    /// How many connections are open while nobody uses one.
    #[cfg(test)]
    pub(crate) fn idle_connections(&self) -> usize {
        self.connections.idle_connections()
    }

    async fn take(&self, bounds: &mut Bounds<'_>) -> Result<Taken, Failure> {
        self.connections.take(bounds).await?.map_err(|error| failure(&error))
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn run(
        &self,
        query: AdmittedQuery,
        parameters: Vec<Cell>,
        limits: QueryLimits,
        _walls: Walls,
        bounds: &mut Bounds<'_>,
    ) -> Result<Rows, Failure> {
        let mut taken = self.take(bounds).await?;
        let outcome = bounds.run(fetch(taken.connection(), &query.sql, parameters, limits)).await;
        match &outcome {
            // Its last row was read: there is nothing to stop.
            Ok(Ok(rows)) if !rows.truncated() => self.connections.give_back(taken, bounds).await,
            _ => self.connections.stop(taken, bounds).await,
        }
        outcome?.map_err(|error| failure(&error))
    }

    async fn discover(&self, bounds: &mut Bounds<'_>) -> Result<Schema, Failure> {
        let mut taken = self.take(bounds).await?;
        let outcome = bounds.run(schema::discover(taken.connection())).await;
        self.connections.stop(taken, bounds).await;
        outcome?.map_err(|error| failure(&error))
    }

    async fn probe(&self, bounds: &mut Bounds<'_>) -> Result<(), Failure> {
        let mut taken = self.take(bounds).await?;
        let query = sqlx::query("SELECT count(*) FROM sqlite_schema");
        let outcome = bounds.run(query.execute(taken.connection())).await;
        self.connections.stop(taken, bounds).await;
        outcome?.map(drop).map_err(|error| failure(&error))
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}

async fn fetch(
    connection: &mut SqliteConnection,
    sql: &str,
    parameters: Vec<Cell>,
    limits: QueryLimits,
) -> Result<Rows, sqlx::Error> {
    let mut rows = Rows::new(limits);
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for parameter in parameters {
        query = values::bind(query, parameter);
    }
    let mut stream = query.fetch(&mut *connection);
    while let Some(row) = stream.try_next().await? {
        rows.name_columns(row.columns().iter().map(|column| column.name().to_owned()));
        if rows.push(values::cells(&row)?).is_break() {
            break;
        }
    }
    drop(stream);
    if !rows.has_columns() {
        let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
        rows.name_columns(statement.columns().iter().map(|column| column.name().to_owned()));
    }
    Ok(rows)
}

/// The canonical path of a database file that may be opened.
pub(crate) fn resolve(path: &Path, forbidden: &[PathBuf]) -> Result<PathBuf, Failure> {
    let canonical = path.canonicalize().map_err(|error| missing(path, &error))?;
    if !canonical.is_file() {
        return Err(Failure::unavailable(format!("{} is not a file", path.display())));
    }
    if forbidden.iter().any(|forbidden| same_file(&canonical, forbidden)) {
        return Err(Failure::refused(format!("the file {} is not open to agents", path.display())));
    }
    Ok(canonical)
}

/// What is no file may be the URL of another database, with its password.
fn missing(path: &Path, error: &std::io::Error) -> Failure {
    const LONGEST_SCHEME: usize = 16;
    let text = path.to_string_lossy();
    let Some((before, _)) = text.split_once("://") else {
        let shown = redact(&text);
        let shown =
            shown.rsplit_once('@').filter(|(user, _)| user.contains(':')).map_or(&*shown, |(_, rest)| rest);
        return Failure::unavailable(format!("the file {shown} cannot be opened: {}", error.kind()));
    };
    let scheme = before.rsplit(std::path::MAIN_SEPARATOR).next().unwrap_or_default();
    let is_plain = scheme.len() <= LONGEST_SCHEME && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let scheme = if is_plain { format!("`{scheme}://` ") } else { String::new() };
    Failure::unavailable(format!(
        "a {scheme}URL stands where the path of a SQLite file is expected; URLs are read for PostgreSQL only: postgres:// \
         or postgresql://"
    ))
}

fn same_file(canonical: &Path, other: &Path) -> bool {
    other.canonicalize().is_ok_and(|other| other == canonical) || same_inode(canonical, other)
}

#[cfg(unix)]
fn same_inode(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_inode(_one: &Path, _other: &Path) -> bool {
    false
}

/// Sorts SQLite's result codes (<https://sqlite.org/rescode.html>).
fn failure(error: &sqlx::Error) -> Failure {
    const PRIMARY_CODE: i32 = 0xff;
    const BUSY: i32 = 5;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    Failure::from_sqlx(error, |reported| {
        let code = reported.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
        match code & PRIMARY_CODE {
            READONLY => BackendErrorKind::Refused,
            BUSY | IOERR | CORRUPT | CANTOPEN | NOTADB => BackendErrorKind::Unavailable,
            _ => BackendErrorKind::Failed,
        }
    })
}
