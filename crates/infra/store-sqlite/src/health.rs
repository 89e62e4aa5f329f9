//! Whether the store works.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use loom_base::Clock;
use loom_store::{Error, HealthStore, PoolUse, StoreKind, StoreStatus};
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::{Queue, Touched, Write};

/// What a look at the store needs.
pub(crate) struct Health {
    queue: Queue,
    reads: SqlitePool,
    files: [PathBuf; 2],
    clock: Arc<dyn Clock>,
}

impl Health {
    pub(crate) const fn new(
        queue: Queue,
        reads: SqlitePool,
        files: [PathBuf; 2],
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { queue, reads, files, clock }
    }

    /// The size of the databases with their logs.
    async fn bytes(&self) -> Option<u64> {
        let mut bytes = 0;
        for file in &self.files {
            bytes += tokio::fs::metadata(file).await.ok()?.len();
            let mut log = file.clone().into_os_string();
            log.push("-wal");
            // A log that is not there has no bytes.
            bytes += tokio::fs::metadata(log).await.map_or(0, |log| log.len());
        }
        Some(bytes)
    }
}

#[async_trait]
impl HealthStore for Health {
    /// After a failed write, this writes: so readiness comes back although nothing else is sent here meanwhile.
    async fn status(&self) -> Result<StoreStatus, Error> {
        if !self.queue.is_healthy() {
            self.queue.write(Probe::Fill).await?;
            self.queue.write(Probe::Clear).await?;
        }
        let start = self.clock.now();
        let migration = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&self.reads)
            .await
            .map_err(|error| unavailable(&error))?;
        let latency = self.clock.now().since(start);
        Ok(StoreStatus {
            kind: StoreKind::Sqlite,
            latency,
            migration,
            pool: PoolUse {
                open: self.reads.size(),
                idle: u32::try_from(self.reads.num_idle()).unwrap_or(u32::MAX),
                most: self.reads.options().get_max_connections(),
            },
            bytes: self.bytes().await,
        })
    }
}

/// Two writes that together change nothing. The first needs as much room as the steps of a turn do: on a full disk, a
/// smaller one may fit where no turn does.
enum Probe {
    Fill,
    Clear,
}

#[async_trait]
impl Write<SqliteConnection> for Probe {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        let query = match self {
            Self::Fill => {
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe ' || hex(zeroblob(32768)), 0)"
            }
            Self::Clear => "DELETE FROM meta WHERE key >= 'probe ' AND key < 'probe!'",
        };
        sqlx::query(query).execute(connection).await?;
        Ok(Ok(()))
    }

    fn touched(&self, _reply: &()) -> Touched {
        Touched::Nothing
    }
}
