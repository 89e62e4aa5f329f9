//! Stores on schemas of their own.

use std::sync::Arc;
use std::time::Duration;

use loom_base::Secret;
use loom_store::{SessionRecord, Stores};
use loom_store_postgres::{Options, PostgresStore};
pub(crate) use loom_testkit::steps::{accept, at, follow, turn_id};
use loom_testkit::{ManualClock, PostgresSchema, steps};
use sqlx::PgConnection;

/// A schema that only one test uses.
#[derive(Clone)]
pub(crate) struct Home(PostgresSchema);

impl Home {
    /// The URL of the schema on the server, or on what listens at `address` and passes it on.
    pub(crate) fn url_at(&self, address: Option<&str>) -> String {
        address.map_or_else(|| self.0.url(), |address| self.0.url_at(address).expect("it is a URL"))
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> String {
        self.0.address().expect("it is a URL")
    }

    pub(crate) fn schema(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn options(&self) -> Options {
        let url = Secret::new(self.url_at(None));
        let options = Options::new(url, Arc::new(ManualClock::default()));
        Options { lock_wait: Duration::from_millis(200), ..options }
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.expect("the store opens")
    }

    /// A connection of another program to the same schema.
    pub(crate) async fn stranger(&self) -> PgConnection {
        self.0.connect().await.expect("the server answers")
    }

    /// Returns once this many connections of stores wait for a lock.
    pub(crate) async fn until_waiting(&self, stranger: &mut PgConnection, count: i64) {
        self.0.until_waiting(stranger, count).await.expect("the server answers");
    }
}

/// Runs `test` on a schema of its own; or says that it is skipped, when there is no server to test with.
pub(crate) async fn at_home<F, T>(test: F)
where
    F: FnOnce(Home) -> T,
    T: Future<Output = ()>,
{
    PostgresSchema::lend("store", |schema| test(Home(schema))).await.expect("the server lets us");
}

pub(crate) async fn open_session(stores: &Stores, name: &str) -> SessionRecord {
    steps::open_session(stores, name).await.expect("the session is new")
}
