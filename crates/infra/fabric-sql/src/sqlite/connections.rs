//! The connections to one file, each with the brake that stops what it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bounds::{Bounds, Interrupt};

/// Virtual-machine instructions between two looks at the brake: some microseconds.
const STEPS_PER_LOOK: i32 = 1_000;

/// A connection whose brake stays fitted, so that a query costs no more trips to its thread than the query itself.
#[derive(Debug)]
struct Fitted {
    connection: SqliteConnection,
    pulled: Arc<AtomicBool>,
}

/// A connection that is taken. It is either given back or given up; dropped, it is given up.
#[derive(Debug)]
pub(super) struct Taken {
    fitted: Fitted,
    _place: OwnedSemaphorePermit,
}

impl Taken {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.fitted.connection
    }
}

/// The connections that are open and not in use, and how many more there may be.
#[derive(Debug)]
pub(super) struct Connections {
    options: SqliteConnectOptions,
    /// How long to wait for a connection, a new one included.
    patience: Duration,
    most_idle: usize,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Fitted>>,
    /// How often running statements looked at their brakes. It stands still when the engine is idle.
    looks: Arc<AtomicU64>,
}

impl Connections {
    /// At most `most` connections by `options`, and at most `most_idle` that nobody uses. Opens none yet.
    pub(super) fn new(
        options: SqliteConnectOptions,
        most: usize,
        most_idle: usize,
        patience: Duration,
    ) -> Self {
        let places = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Self { options, patience, most_idle, places, idle: Mutex::default(), looks: Arc::default() }
    }

    /// Takes a connection whose brake is off.
    pub(super) async fn take(
        &self,
        bounds: &mut Bounds<'_>,
    ) -> Result<Result<Taken, sqlx::Error>, Interrupt> {
        let taking = tokio::time::timeout(self.patience, self.take_or_open());
        let taken = bounds.run(taking).await?;
        Ok(taken.unwrap_or(Err(sqlx::Error::PoolTimedOut)))
    }

    async fn take_or_open(&self) -> Result<Taken, sqlx::Error> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        let fitted = match idle {
            Some(fitted) => fitted,
            None => self.open().await?,
        };
        fitted.pulled.store(false, Ordering::SeqCst);
        Ok(Taken { fitted, _place: place })
    }

    async fn open(&self) -> Result<Fitted, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let pulled = Arc::<AtomicBool>::default();
        let (looks, is_pulled) = (Arc::clone(&self.looks), Arc::clone(&pulled));
        connection.lock_handle().await?.set_progress_handler(STEPS_PER_LOOK, move || {
            looks.fetch_add(1, Ordering::SeqCst);
            !is_pulled.load(Ordering::SeqCst)
        });
        Ok(Fitted { connection, pulled })
    }

    /// Takes back a connection that runs nothing any more.
    pub(super) async fn give_back(&self, taken: Taken, bounds: &mut Bounds<'_>) {
        let Taken { fitted, _place: place } = taken;
        let too_many = {
            let mut idle = self.idle();
            if idle.len() < self.most_idle && !self.places.is_closed() {
                idle.push(fitted);
                None
            } else {
                Some(fitted)
            }
        };
        if let Some(fitted) = too_many {
            // One that does not close in time is dropped, which closes it too.
            let _closed = bounds.grace(fitted.connection.close()).await;
        }
        drop(place);
    }

    /// Stops what a connection runs, waits until it has stopped and takes it back; one that does not stop is thrown away.
    pub(super) async fn stop(&self, mut taken: Taken, bounds: &mut Bounds<'_>) {
        taken.fitted.pulled.store(true, Ordering::SeqCst);
        // Its thread answers in order: once it answers, the statement is over.
        let stopped = bounds.grace(taken.fitted.connection.ping()).await;
        if let Some(Ok(())) = stopped {
            self.give_back(taken, bounds).await;
        } else {
            tracing::warn!("a SQLite statement did not stop in time, its connection is given up");
        }
    }

    /// Opens no more, and closes those that are idle.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for fitted in idle {
            if let Err(error) = fitted.connection.close().await {
                tracing::warn!(%error, "a connection did not close cleanly");
            }
        }
    }

    /// How often running statements looked at their brakes.
    #[cfg(test)]
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    /// How many connections are open while nobody uses one.
    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Fitted>> {
        // Nothing panics while it is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
