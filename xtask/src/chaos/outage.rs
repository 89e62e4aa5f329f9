//! The deaths of the database server.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};
use tokio::time::sleep;

use super::dice::Dice;
use crate::postgres::Throwaway;

/// Lets servers start while the database is there, and closes when it is to die no more.
#[derive(Clone, Default)]
pub(super) struct Gate {
    database: Arc<RwLock<()>>,
    closed: Arc<Notify>,
}

impl Gate {
    /// Waits until the database is there, which it is for as long as what is returned.
    pub(super) async fn open(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.database).read_owned().await
    }

    /// The database dies no more.
    pub(super) fn close(&self) {
        self.closed.notify_one();
    }
}

/// Kills the database server now and then, for less and for more time than a server may be silent, until the gate is
/// closed; returns it, alive, and how often it died.
pub(super) async fn again_and_again(
    database: Throwaway,
    gate: Gate,
    seed: u64,
) -> Result<(Throwaway, usize)> {
    let mut dice = Dice::of(seed, "database");
    let mut database = database;
    let mut deaths = 0;
    loop {
        tokio::select! {
            () = gate.closed.notified() => break,
            () = sleep(dice.millis(3_000..9_000)) => {}
        }
        let dead = gate.database.write().await;
        let pause = dice.millis(0..3_500);
        database = tokio::task::spawn_blocking(move || -> Result<Throwaway> {
            database.crash(pause)?;
            Ok(database)
        })
        .await??;
        deaths += 1;
        drop(dead);
    }
    Ok((database, deaths))
}
