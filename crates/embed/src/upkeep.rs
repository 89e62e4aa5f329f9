//! Looking after a store that no server uses.

use std::path::Path;
use std::sync::Arc;

use loom_api::store;
use loom_base::{Clock, ErrorCode};
use loom_config::Loaded;
use loom_proto::v1::{
    BackUpStoreResponse, CleanUpStoreResponse, DescribeStoreResponse, VacuumStoreResponse,
    VerifyStoreResponse,
};
use loom_runtime::{Error, Upkeep, days_before};
use loom_store::Stores;
use loom_store_sqlite::Options;
pub use loom_store_sqlite::Restored;

use crate::Builder;
use crate::store::{Place, Store};

/// A store that is open for upkeep. No server can use a SQLite store meanwhile. Its answers are those of the API.
pub struct OfflineStore {
    store: Store,
    stores: Stores,
    clock: Arc<dyn Clock>,
}

impl OfflineStore {
    /// Opens the configured store, brought up to date when an older Loom has written it. A file that is not there is not
    /// made; one that is in use is refused, and its holder named.
    pub async fn open(loaded: Loaded, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let place = Builder::default().config(loaded).place()?;
        if let Place::File { database, .. } = &place
            && !database.is_file()
        {
            let message = format!("there is no store at {}", database.display());
            return Err(Error::new(ErrorCode::StoreUnavailable, message));
        }
        let store = Store::open(place, &clock, &Arc::default()).await?;
        let stores = store.stores();
        Ok(Self { store, stores, clock })
    }

    /// What it is and holds.
    pub async fn describe(&self) -> Result<DescribeStoreResponse, Error> {
        store::describe(&self.upkeep()).await
    }

    /// Whether what is stored is sound.
    pub async fn verify(&self) -> Result<VerifyStoreResponse, Error> {
        store::verify(&self.upkeep()).await
    }

    /// Writes a copy of it to a new file.
    pub async fn back_up(&self, file: &Path) -> Result<BackUpStoreResponse, Error> {
        store::back_up(&self.upkeep(), file).await
    }

    /// Gives room back to the file system.
    pub async fn vacuum(&self) -> Result<VacuumStoreResponse, Error> {
        store::vacuum(&self.upkeep()).await
    }

    /// Removes sessions that nothing happened in for `days`, and to which nothing is owed.
    pub async fn clean_up(&self, days: u32) -> Result<CleanUpStoreResponse, Error> {
        let before = days_before(self.clock.now(), days);
        self.upkeep().clean_up(before, &|_| false).await.map(store::cleaned_up)
    }

    /// Closes it.
    pub async fn close(self) {
        drop(self.stores);
        self.store.close().await;
    }

    const fn upkeep(&self) -> Upkeep<'_> {
        Upkeep::new(&self.stores)
    }
}

/// Puts a copy of the backup `file` in the place of the configured store; what was there is kept beside it.
pub async fn restore(loaded: Loaded, file: &Path, clock: Arc<dyn Clock>) -> Result<Restored, Error> {
    let Place::File { directory, database } = Builder::default().config(loaded).place()? else {
        let (what, instead) = ("a restore".to_owned(), "use `pg_restore`".to_owned());
        return Err(loom_store::Error::Unsupported { what, instead }.into());
    };
    if !file.is_file() {
        let message = format!("there is no backup at {}", file.display());
        return Err(Error::new(ErrorCode::BackupNotFound, message));
    }
    let options = Options { database: Some(database), ..Options::new(directory, clock) };
    Ok(loom_store_sqlite::restore(&options, file).await?)
}
