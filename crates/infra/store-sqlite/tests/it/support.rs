//! Stores on directories of their own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loom_store::{SessionRecord, Stores};
use loom_store_sqlite::{Options, SqliteStore};
pub(crate) use loom_testkit::steps::{accept, at, follow, turn_id};
use loom_testkit::{ManualClock, steps};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

/// A place for one data directory; gone when dropped.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("the temporary folder can be written"))
    }

    /// The data directory; not there until a store is opened.
    pub(crate) fn directory(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub(crate) fn options(&self) -> Options {
        let options = Options::new(self.directory(), Arc::new(ManualClock::default()));
        Options { lock_wait: Duration::from_millis(50), ..options }
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).await.expect("the store opens")
    }

    /// A connection of another program to the same database.
    pub(crate) async fn stranger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.directory().join("loom.db"));
        options.connect().await.expect("the database opens")
    }
}

pub(crate) async fn open_session(stores: &Stores, name: &str) -> SessionRecord {
    steps::open_session(stores, name).await.expect("the session is new")
}
