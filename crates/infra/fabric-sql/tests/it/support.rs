//! What every test needs: a clock, a SQLite file, a PostgreSQL schema of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use loom_base::{Clock, Secret, Timestamp};
use sqlx::{AssertSqlSafe, Connection as _};

/// The machine's clock.
struct MachineClock;

#[async_trait::async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "tests of real databases run in real time")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_micros(i64::try_from(since.unwrap().as_micros()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(MachineClock)
}

/// A SQLite file made from SQL, in a folder that goes with it.
pub(crate) struct SqliteFile {
    folder: tempfile::TempDir,
}

impl SqliteFile {
    pub(crate) async fn new(sql: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        let mut connection = file.writer().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        file
    }

    /// A connection that may write, and makes the file when there is none.
    pub(crate) async fn writer(&self) -> sqlx::SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path()).create_if_missing(true);
        sqlx::SqliteConnection::connect_with(&options).await.unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data.sqlite")
    }
}

/// A PostgreSQL schema that only one test uses.
#[derive(Clone)]
pub(crate) struct Sandbox {
    /// Connects with the schema first in the search path.
    pub(crate) dsn: Secret,
    pub(crate) schema: String,
}

impl Sandbox {
    /// A connection with all the rights of the test's role.
    pub(crate) async fn admin(&self) -> sqlx::PgConnection {
        sqlx::PgConnection::connect(self.dsn.expose()).await.unwrap()
    }
}

/// Runs `test` in a schema made from `setup`; or says that it is skipped, when there is no server to test with.
pub(crate) async fn in_schema<F, T>(setup: &str, test: F)
where
    F: FnOnce(Sandbox) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let Some(url) = postgres_url() else { return };
    let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
    let schema = format!("loom_{}_{number}", std::process::id());
    let drop_schema = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
    let mark = if url.contains('?') { '&' } else { '?' };
    let sandbox = Sandbox { dsn: Secret::new(format!("{url}{mark}options[search_path]={schema}")), schema };
    let mut admin = sandbox.admin().await;
    let begin = format!("{drop_schema}; CREATE SCHEMA {}", sandbox.schema);
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut admin).await.unwrap();
    let made = sqlx::raw_sql(AssertSqlSafe(setup.to_owned())).execute(&mut admin).await;
    let outcome = if made.is_ok() { tokio::spawn(test(sandbox)).await } else { Ok(()) };
    sqlx::raw_sql(AssertSqlSafe(drop_schema)).execute(&mut admin).await.unwrap();
    made.unwrap();
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

#[expect(clippy::disallowed_methods, reason = "the test runner says by the environment where PostgreSQL is")]
fn postgres_url() -> Option<String> {
    let url = std::env::var("LOOM_TEST_POSTGRES_URL").ok();
    if url.is_none() {
        println!("skipped: LOOM_TEST_POSTGRES_URL is not set");
        let all = std::env::var("LOOM_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!all, "LOOM_TEST_REQUIRE_ALL is set and LOOM_TEST_POSTGRES_URL is not");
    }
    url
}
