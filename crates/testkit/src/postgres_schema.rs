//! A schema of a real PostgreSQL server that only one test uses.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use futures::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Says where the server is.
const SERVER: &str = "LOOM_TEST_POSTGRES_URL";
/// Says that a skipped test is a failure.
const REQUIRE_ALL: &str = "LOOM_TEST_REQUIRE_ALL";

/// A schema that only one test uses.
#[derive(Clone)]
pub struct PostgresSchema {
    server: String,
    name: String,
}

impl PostgresSchema {
    /// Runs `test` on a schema of its own, which is gone afterwards; or says that it is skipped, when there is no server
    /// to test with. Tests that call this from several programs give each a name of its own.
    pub async fn lend<F, T>(program: &str, test: F) -> anyhow::Result<()>
    where
        F: FnOnce(Self) -> T,
        T: Future<Output = ()>,
    {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let Some(server) = postgres_url()? else { return Ok(()) };
        let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
        let name = format!("loom_{program}_{}_{number}", std::process::id());
        let schema = Self { server, name };
        let mut admin = schema.connect().await?;
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", schema.name);
        let make = format!("{drop}; CREATE SCHEMA {}", schema.name);
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await?;
        let outcome = AssertUnwindSafe(test(schema)).catch_unwind().await;
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await?;
        match outcome {
            Ok(()) => Ok(()),
            Err(failed) => std::panic::resume_unwind(failed),
        }
    }

    /// Its name, which is also the `application_name` of those who come by its URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the schema on the server.
    pub fn url(&self) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{mark}options[search_path]={1}&application_name={1}", self.server, self.name)
    }

    /// The URL of the schema on what listens at `address` and passes it on.
    pub fn url_at(&self, address: &str) -> anyhow::Result<String> {
        let url = self.url();
        let (before, rest) = url.split_once("://").context("it is a URL")?;
        let (authority, rest) = rest.split_once('/').context("it names a database")?;
        let user = authority.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
        Ok(format!("{before}://{user}{address}/{rest}&sslmode=disable"))
    }

    /// Where the server listens.
    pub fn address(&self) -> anyhow::Result<String> {
        let (_, rest) = self.server.split_once("://").context("it is a URL")?;
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
        Ok(if address.contains(':') { address.to_owned() } else { format!("{address}:5432") })
    }

    /// A connection of another program to the schema.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        let url = self.url().replace("application_name=", "application_name=stranger_");
        Ok(PgConnection::connect(&url).await?)
    }

    /// Runs statements behind the back of those who use it, each of which must change a row.
    pub async fn tamper(&self, statements: &[String]) -> anyhow::Result<()> {
        let mut stranger = self.connect().await?;
        for statement in statements {
            let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut stranger).await?;
            anyhow::ensure!(done.rows_affected() > 0, "{statement} changes nothing");
        }
        Ok(stranger.close().await?)
    }

    /// Runs `statement` in a transaction of another program, which keeps its locks until it is dropped.
    pub async fn hold(&self, statement: &'static str) -> anyhow::Result<PgConnection> {
        let mut stranger = self.connect().await?;
        sqlx::raw_sql("BEGIN").execute(&mut stranger).await?;
        sqlx::raw_sql(statement).execute(&mut stranger).await?;
        Ok(stranger)
    }

    /// Returns once this many connections of those who came by its URL wait for a lock.
    pub async fn until_waiting(&self, stranger: &mut PgConnection, count: i64) -> anyhow::Result<()> {
        let waiting = "
            SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
        loop {
            // Within a transaction, the server's view of its sessions would stand still.
            let now: i64 = sqlx::query_scalar(waiting).bind(&self.name).fetch_one(&mut *stranger).await?;
            if now == count {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The URL of a PostgreSQL server that tests may make schemas and databases on, or `None` when this machine has none. An
/// error when no test may be skipped.
#[expect(clippy::disallowed_methods, reason = "the test runner says by the environment where PostgreSQL is")]
#[expect(clippy::print_stdout, reason = "a test says aloud that it is skipped")]
pub fn postgres_url() -> anyhow::Result<Option<String>> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        println!("skipped: {SERVER} is not set");
        let all = std::env::var(REQUIRE_ALL).is_ok_and(|value| value == "1");
        anyhow::ensure!(!all, "{REQUIRE_ALL} is set and {SERVER} is not");
    }
    Ok(url)
}
