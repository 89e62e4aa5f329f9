//! Whether the store works.

use std::sync::Arc;

use async_trait::async_trait;
use loom_base::Clock;
use loom_store::{Error, HealthStore, PoolUse, StoreKind, StoreStatus};
use sqlx::PgConnection;

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::{Queue, Write};
use loom_store_sql::Row;

/// The size is that of the whole database, also of what others keep in it.
const STATUS: &str = "
SELECT (SELECT max(version) FROM _sqlx_migrations) AS migration, pg_database_size(current_database()) AS bytes";

/// What a look at the store needs.
pub(crate) struct Health {
    queue: Queue,
    reads: Pool,
    clock: Arc<dyn Clock>,
}

impl Health {
    pub(crate) const fn new(queue: Queue, reads: Pool, clock: Arc<dyn Clock>) -> Self {
        Self { queue, reads, clock }
    }
}

#[async_trait]
impl HealthStore for Health {
    /// After a failure, this writes: so readiness comes back although nothing else is sent here meanwhile, and a server
    /// that is gone is found out without waiting for a connection.
    async fn status(&self) -> Result<StoreStatus, Error> {
        if !self.queue.is_healthy() {
            self.queue.write(Probe).await?;
        }
        let start = self.clock.now();
        let connections = self.reads.connections();
        let read = self.reads.within(sqlx::query(STATUS).fetch_one(connections)).await;
        let row = read.inspect_err(|error| self.queue.doubt(error))?;
        let latency = self.clock.now().since(start);
        let row = Row::new(&row, "status", "migration");
        Ok(StoreStatus {
            kind: StoreKind::Postgres,
            latency,
            migration: row.get("migration")?,
            pool: PoolUse {
                open: connections.size(),
                idle: u32::try_from(connections.num_idle()).unwrap_or(u32::MAX),
                most: connections.options().get_max_connections(),
            },
            bytes: Some(row.number("bytes")?),
        })
    }
}

/// A write that changes nothing.
struct Probe;

#[async_trait]
impl Write<PgConnection> for Probe {
    type Reply = ();

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<(), Error>, Failure> {
        // Of no row, so that processes that probe at once do not wait for each other.
        sqlx::query("UPDATE meta SET value = value WHERE key = ''").execute(connection).await?;
        Ok(Ok(()))
    }
}
