//! The connections of one engine.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};

use crate::bounds::{Bounds, Interrupt};

/// A pool that keeps no more idle connections than it may. Each connection taken has to be given back or given up.
#[derive(Debug)]
pub(crate) struct ConnectionPool<DB: Database> {
    pool: Pool<DB>,
    max_idle: u32,
    in_use: AtomicU32,
}

impl<DB: Database> ConnectionPool<DB> {
    /// Keeps at most `max_idle` connections of `pool` open while nobody uses them.
    pub(crate) fn new(pool: Pool<DB>, max_idle: u32) -> Self {
        Self { pool, max_idle, in_use: AtomicU32::new(0) }
    }

    /// The pool itself.
    pub(crate) fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Takes a connection.
    pub(crate) async fn acquire(
        &self,
        bounds: &mut Bounds<'_>,
    ) -> Result<Result<PoolConnection<DB>, sqlx::Error>, Interrupt> {
        let acquired = bounds.run(self.pool.acquire()).await?;
        if acquired.is_ok() {
            self.in_use.fetch_add(1, Ordering::SeqCst);
        }
        Ok(acquired)
    }

    /// Takes back a connection that is fit for the next query.
    pub(crate) async fn give_back(&self, connection: PoolConnection<DB>, bounds: &mut Bounds<'_>) {
        let in_use = self.in_use.fetch_sub(1, Ordering::SeqCst) - 1;
        if self.pool.size().saturating_sub(in_use) > self.max_idle {
            // One that does not close in time is dropped, which closes it too.
            let _closed = bounds.grace(connection.close()).await;
        }
    }

    /// Throws away a connection that is not.
    pub(crate) fn give_up(&self, connection: PoolConnection<DB>) {
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        drop(connection.detach());
    }
}
