//! Connections shared by the backends that have the same configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use loom_base::{Clock, Digest, Secret};
use loom_fabric::{BackendError, BackendErrorKind, ExecutionBackend};

use crate::backend::{Engine, PostgresBackend, SqlBackend, SqliteBackend};
use crate::failure::Failure;
use crate::options::SqlOptions;
use crate::postgres::PostgresEngine;
use crate::sqlite::{self, SqliteEngine};
use crate::walls::Walls;

/// Where a SQL database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlSource {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database.
    Postgres(Secret),
}

impl SqlSource {
    /// Reads what people write: a `postgres://` or `postgresql://` URL, or the path of a SQLite file, with or without
    /// `sqlite:` before it.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(Secret::new(text));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        Self::Sqlite(PathBuf::from(path))
    }
}

/// Opens backends and lets those with the same database, credentials and pool settings share their connections, which
/// live as long as one of these backends. It holds no connection itself.
pub struct SharedPools {
    clock: Arc<dyn Clock>,
    sqlite: Engines<SqliteEngine>,
    postgres: Engines<PostgresEngine>,
}

type Engines<E> = Mutex<HashMap<Digest, Weak<E>>>;

impl SharedPools {
    /// No pools yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, sqlite: Mutex::default(), postgres: Mutex::default() }
    }

    /// Opens the backend `name` on `source`, whichever its kind.
    pub async fn open(
        &self,
        name: &str,
        source: &SqlSource,
        options: SqlOptions,
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        Ok(match source {
            SqlSource::Sqlite(path) => Arc::new(self.sqlite(name, path, options).await?),
            SqlSource::Postgres(dsn) => Arc::new(self.postgres(name, dsn, options).await?),
        })
    }

    /// Makes the backend `name` without asking it anything: it is used once it answers. A SQLite file must be there.
    pub fn prepare(
        &self,
        name: &str,
        source: &SqlSource,
        options: &SqlOptions,
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        Ok(match source {
            SqlSource::Sqlite(path) => Arc::new(self.make_sqlite(Walls::ALL, name.into(), path, options)?),
            SqlSource::Postgres(dsn) => {
                Arc::new(self.make_postgres(Walls::ALL, name.into(), dsn, options)?)
            }
        })
    }

    /// As [`SqliteBackend::open`].
    pub async fn sqlite(
        &self,
        name: impl Into<String> + Send,
        path: &Path,
        options: SqlOptions,
    ) -> Result<SqliteBackend, BackendError> {
        self.sqlite_behind(Walls::ALL, name.into(), path, options).await
    }

    pub(crate) async fn sqlite_behind(
        &self,
        walls: Walls,
        name: String,
        path: &Path,
        options: SqlOptions,
    ) -> Result<SqliteBackend, BackendError> {
        answered(self.make_sqlite(walls, name, path, &options)?, &options).await
    }

    /// As [`PostgresBackend::connect`].
    pub async fn postgres(
        &self,
        name: impl Into<String> + Send,
        dsn: &Secret,
        options: SqlOptions,
    ) -> Result<PostgresBackend, BackendError> {
        self.postgres_behind(Walls::ALL, name.into(), dsn, options).await
    }

    pub(crate) async fn postgres_behind(
        &self,
        walls: Walls,
        name: String,
        dsn: &Secret,
        options: SqlOptions,
    ) -> Result<PostgresBackend, BackendError> {
        answered(self.make_postgres(walls, name, dsn, &options)?, &options).await
    }

    fn make_sqlite(
        &self,
        walls: Walls,
        name: String,
        path: &Path,
        options: &SqlOptions,
    ) -> Result<SqliteBackend, BackendError> {
        let path = sqlite::resolve(path, &options.forbidden_paths)
            .map_err(|failure| BackendError::new(&name, failure.kind, failure.message))?;
        let key = key("sqlite", &path.to_string_lossy(), options);
        let make = || Ok(SqliteEngine::new(&path, options, walls));
        self.make(walls, name, &self.sqlite, key, options, make)
    }

    fn make_postgres(
        &self,
        walls: Walls,
        name: String,
        dsn: &Secret,
        options: &SqlOptions,
    ) -> Result<PostgresBackend, BackendError> {
        let key = key("postgres", dsn.expose(), options);
        self.make(walls, name, &self.postgres, key, options, || PostgresEngine::new(dsn, options))
    }

    /// A backend on the pool kept under `key`, made now if there is none.
    fn make<E: Engine>(
        &self,
        walls: Walls,
        name: String,
        engines: &Engines<E>,
        key: Digest,
        options: &SqlOptions,
        make: impl FnOnce() -> Result<E, Failure>,
    ) -> Result<SqlBackend<E>, BackendError> {
        let engine = share(engines, key, make)
            .map_err(|failure| BackendError::new(&name, failure.kind, failure.message))?;
        Ok(SqlBackend::new(name, engine, options.clone(), walls, Arc::clone(&self.clock)))
    }
}

/// The backend, once it has answered.
async fn answered<E: Engine>(
    backend: SqlBackend<E>,
    options: &SqlOptions,
) -> Result<SqlBackend<E>, BackendError> {
    match backend.ping(options.connect_timeout).await {
        Ok(_) => Ok(backend),
        Err(error) => {
            backend.close().await;
            // Whatever keeps a database from opening, it cannot be used.
            Err(BackendError { kind: BackendErrorKind::Unavailable, ..error })
        }
    }
}

fn share<E>(
    engines: &Engines<E>,
    key: Digest,
    make: impl FnOnce() -> Result<E, Failure>,
) -> Result<Arc<E>, Failure> {
    let mut engines = engines.lock().unwrap_or_else(PoisonError::into_inner);
    engines.retain(|_, engine| engine.strong_count() > 0);
    if let Some(engine) = engines.get(&key).and_then(Weak::upgrade) {
        return Ok(engine);
    }
    let engine = Arc::new(make()?);
    engines.insert(key, Arc::downgrade(&engine));
    Ok(engine)
}

/// The digest of everything that a pool is made from; the credentials are in it, but not to be read from it.
fn key(dialect: &str, place: &str, options: &SqlOptions) -> Digest {
    Digest::of_json(&serde_json::json!({
        "dialect": dialect,
        "place": place,
        "max_connections": options.max_connections,
        "max_idle_connections": options.max_idle_connections,
        "tls": options.tls.map(|mode| format!("{mode:?}")),
        "root_certificate": &options.root_certificate,
        "connect_timeout_ms": u64::try_from(options.connect_timeout.as_millis()).unwrap_or(u64::MAX),
    }))
}

impl std::fmt::Debug for SharedPools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedPools").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_for_one_configuration_while_it_is_used() {
        let engines: Engines<u8> = Mutex::default();
        let options = SqlOptions::default();
        let first = share(&engines, key("sqlite", "/a", &options), || Ok(1)).unwrap();
        let same = share(&engines, key("sqlite", "/a", &options), || Ok(2)).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let wider = SqlOptions { max_connections: 9, ..options.clone() };
        assert_eq!(*share(&engines, key("sqlite", "/a", &wider), || Ok(3)).unwrap(), 3);
        drop((first, same));
        assert_eq!(*share(&engines, key("sqlite", "/a", &options), || Ok(4)).unwrap(), 4);
    }

    #[test]
    fn sources_are_read_as_people_write_them() {
        assert!(matches!(SqlSource::parse("postgres://u@h/d"), SqlSource::Postgres(_)));
        assert_eq!(SqlSource::parse("sqlite:shop.db"), SqlSource::Sqlite("shop.db".into()));
        assert_eq!(SqlSource::parse("sqlite:///tmp/a"), SqlSource::Sqlite("/tmp/a".into()));
        assert_eq!(SqlSource::parse("./shop.db"), SqlSource::Sqlite("./shop.db".into()));
    }
}
