//! How connections are opened.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqliteConnection};

/// Pages that the writer keeps in memory, in KiB (negative: that is SQLite's way to say so). With its own default of
/// 2 MiB it reads the leaves of its indexes from the file again and again.
const WRITER_CACHE: &str = "-16384";
/// Pages that the log grows by before they go into the database: a page that many commits change goes there once. After a
/// crash that much is read at the next start, within some hundredths of a second.
const LOG_PAGES: &str = "4096";
/// Scripts that the writer keeps prepared. A script is some statements, and there are few that come again and again.
const WRITER_SCRIPTS: usize = 48;
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// The log is cut back to this after a checkpoint, when a burst has made it longer.
const KEPT_LOG_BYTES: &str = "67108864";

/// What a connection to a database needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The file.
    pub(crate) path: PathBuf,
    /// How long a statement waits for a lock of another program.
    pub(crate) lock_wait: Duration,
}

/// Opens the connection that writes. A commit on it is on disk when it returns.
pub(crate) async fn writer(settings: &Settings) -> Result<SqliteConnection, sqlx::Error> {
    let mut options = base(settings)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(WRITER_SCRIPTS)
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", LOG_PAGES);
    if cfg!(target_os = "macos") {
        // There, a plain fsync leaves data in the drive's cache.
        options = options.pragma("fullfsync", "1").pragma("checkpoint_fullfsync", "1");
    }
    options.connect().await
}

/// Opens a connection that checks or copies the whole database and changes nothing in it. SQLite takes it for one that
/// writes.
pub(crate) async fn copier(settings: &Settings) -> Result<SqliteConnection, sqlx::Error> {
    base(settings).synchronous(SqliteSynchronous::Full).connect().await
}

/// The connections that read; none of them can write.
pub(crate) async fn readers(settings: &Settings, most: u32) -> Result<SqlitePool, sqlx::Error> {
    pool(most).connect_with(base(settings).read_only(true).pragma("query_only", "1")).await
}

/// The connections to the spans' file. A crash may take the last commits with it.
pub(crate) async fn spans(settings: &Settings) -> Result<SqlitePool, sqlx::Error> {
    pool(2).connect_with(base(settings).synchronous(SqliteSynchronous::Normal)).await
}

fn pool(most: u32) -> SqlitePoolOptions {
    // What is open stays open, and is not asked first whether it still is: it is a file, not a network.
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn base(settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(settings.lock_wait)
        .pragma("journal_size_limit", KEPT_LOG_BYTES)
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_is_on_disk_and_readers_cannot_write() {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = Settings { path: folder.path().join("x.db"), lock_wait: Duration::ZERO };
        std::fs::File::create(&settings.path).unwrap();
        let mut writer = writer(&settings).await.unwrap();
        for (pragma, expected) in [("synchronous", 2), ("foreign_keys", 1)] {
            let query = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
            assert_eq!(
                sqlx::query_scalar::<_, i64>(query).fetch_one(&mut writer).await.unwrap(),
                expected,
                "{pragma}"
            );
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer).await.unwrap();
        assert_eq!(mode, "wal");
        sqlx::query("CREATE TABLE t (x)").execute(&mut writer).await.unwrap();
        let readers = readers(&settings, 1).await.unwrap();
        sqlx::query("SELECT * FROM t").execute(&readers).await.unwrap();
        assert!(sqlx::query("INSERT INTO t VALUES (1)").execute(&readers).await.is_err());
    }
}
