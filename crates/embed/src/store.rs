//! The store of a Loom, of either kind.

use std::path::PathBuf;
use std::sync::Arc;

use loom_base::{Clock, Secret};
use loom_store::{Error, Stores};
use loom_store_postgres::{Options as PostgresOptions, PostgresStore};
use loom_store_sqlite::{Options as SqliteOptions, SqliteStore};
use loom_telemetry::Metrics;

/// Where a store is.
pub(crate) enum Place {
    /// In a file; the directory is locked while it is open.
    File { directory: PathBuf, database: PathBuf },
    /// On a PostgreSQL server, whose URL this is.
    Server(Secret),
}

/// An open store.
pub(crate) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    /// Opens it and brings its schema up to date.
    pub(crate) async fn open(
        place: Place,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let metrics = Arc::clone(metrics);
        match place {
            Place::File { directory, database } => {
                let options = SqliteOptions::new(directory, Arc::clone(clock));
                let options = SqliteOptions { database: Some(database), metrics, ..options };
                Ok(Self::Sqlite(SqliteStore::open(options).await?))
            }
            Place::Server(url) => {
                let options = PostgresOptions { metrics, ..PostgresOptions::new(url, Arc::clone(clock)) };
                Ok(Self::Postgres(PostgresStore::open(options).await?))
            }
        }
    }

    /// The stores.
    pub(crate) fn stores(&self) -> Stores {
        match self {
            Self::Sqlite(store) => store.stores(),
            Self::Postgres(store) => store.stores(),
        }
    }

    /// Every file of the store, there or not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Sqlite(store) => store.files(),
            Self::Postgres(_) => Vec::new(),
        }
    }

    /// Finishes what is queued and closes everything.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
