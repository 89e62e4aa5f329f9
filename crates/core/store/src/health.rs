//! Whether a store works.

use std::time::Duration;

use async_trait::async_trait;

use crate::Error;

/// The database behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// How a store's connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that are open.
    pub open: u32,
    /// Of these, the ones nobody uses.
    pub idle: u32,
    /// Connections at most.
    pub most: u32,
}

/// How a store is.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreStatus {
    /// Its database.
    pub kind: StoreKind,
    /// How long a read took.
    pub latency: Duration,
    /// The number of its newest migration.
    pub migration: i64,
    /// Its connections.
    pub pool: PoolUse,
    /// Bytes on disk, where known.
    pub bytes: Option<u64>,
}

/// Says whether a store works, by using it.
#[async_trait]
pub trait HealthStore: Send + Sync {
    /// How it is; an error when it does not work.
    async fn status(&self) -> Result<StoreStatus, Error>;
}
