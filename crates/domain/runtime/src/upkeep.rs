//! Looking after what is stored: whether it is sound, and what may go.
//!
//! It works on the stores alone, so that it can be done with a server and without one.

mod transfer;
mod verify;

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use loom_base::{ErrorCode, SessionId, Timestamp};
use loom_store::{Migrated, Removed, Shrunk, StoreCounts, StoreStatus, Stores};

use crate::Error;
pub use transfer::{Export, Moved, TableCount};
pub use verify::{Verified, Violation};

/// Sessions removed in one transaction: few, because turns wait behind it.
const BATCH: u32 = 50;
/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Looks after stores.
pub struct Upkeep<'a> {
    stores: &'a Stores,
}

/// What a store is and holds.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreFacts {
    /// How it is.
    pub status: StoreStatus,
    /// What it holds.
    pub counts: StoreCounts,
}

impl<'a> Upkeep<'a> {
    /// Looks after `stores`.
    pub const fn new(stores: &'a Stores) -> Self {
        Self { stores }
    }

    /// What the store is and holds.
    pub async fn facts(&self) -> Result<StoreFacts, Error> {
        let status = self.stores.health.status().await?;
        Ok(StoreFacts { status, counts: self.stores.upkeep.counts().await? })
    }

    /// Compares all that is stored with what its journals say, session by session, and tells `found` of each thing that
    /// is wrong. What does not decode is told too, and does not keep the rest from being looked at.
    pub async fn verify(&self, found: &mut (dyn FnMut(Violation) + Send)) -> Result<Verified, Error> {
        verify::verify(&*self.stores.upkeep, found).await
    }

    /// Writes a copy of the whole store to a new file; returns its bytes.
    pub async fn back_up(&self, file: &Path) -> Result<u64, Error> {
        self.stores.upkeep.back_up(file).await.map_err(|error| match error {
            loom_store::Error::Exists { what } => {
                Error::new(ErrorCode::BackupExists, format!("{what} exists already; choose another name"))
            }
            other => other.into(),
        })
    }

    /// Brings the schema up to date. Opening the store has done so already: this says what there was to do.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        Ok(self.stores.transfer.migrate().await?)
    }

    /// All that is stored, as it is now, as a file that any store can be filled with.
    pub async fn export(&self) -> Result<Export, Error> {
        let migration = self.stores.health.status().await?.migration;
        Export::begin(&*self.stores.transfer, migration).await
    }

    /// Fills the store, which must be empty, with what the file of an export holds: all of it, or nothing when anything is
    /// wrong with it.
    pub async fn import(&self, file: &mut (dyn BufRead + Send)) -> Result<Moved, Error> {
        let migration = self.stores.health.status().await?.migration;
        transfer::import(&self.stores.transfer, migration, file).await
    }

    /// Gives the room of what was removed back to the file system. Turns wait meanwhile.
    pub async fn vacuum(&self) -> Result<Shrunk, Error> {
        Ok(self.stores.upkeep.vacuum().await?)
    }

    /// Removes the sessions that nothing happened in since `before`, and to which nothing is owed, unless `is_in_use`.
    pub async fn clean_up(
        &self,
        before: Timestamp,
        is_in_use: &(dyn Fn(&SessionId) -> bool + Sync),
    ) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let mut after: Option<SessionId> = None;
        loop {
            let mut idle = self.stores.upkeep.idle(before, after.as_ref(), BATCH).await?;
            let Some(last) = idle.last() else { return Ok(removed) };
            after = Some(last.clone());
            idle.retain(|session| !is_in_use(session));
            if !idle.is_empty() {
                removed += self.stores.upkeep.remove_idle(&idle, before).await?;
            }
        }
    }
}

/// The moment `days` before `now`.
pub fn days_before(now: Timestamp, days: u32) -> Timestamp {
    now.before(Duration::from_secs(u64::from(days) * DAY))
}
