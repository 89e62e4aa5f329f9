//! The mark by which Loom knows its own databases: SQLite's application id, in the header of the file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use loom_store::Error;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::error::unavailable;

/// "Loom" in ASCII.
const APPLICATION_ID: u32 = 0x4c6f_6f6d;

/// SQLite's header (<https://sqlite.org/fileformat2.html#the_database_header>): how it begins, how long it is, and where
/// in it the application id stands, the highest byte first.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
const ID_OFFSET: usize = 68;

/// Marks the file at `path` as Loom's when it is empty; refuses one that is somebody else's, and changes nothing in it.
pub(crate) async fn ours(path: &Path) -> Result<(), Error> {
    let header = header(path)?;
    if header.is_empty() {
        return mark(path).await.map_err(|error| unavailable(&error));
    }
    of_ours(&header, path)
}

/// Refuses a file that is not marked as Loom's, also an empty one.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    of_ours(&header(path)?, path)
}

fn header(path: &Path) -> Result<Vec<u8>, Error> {
    let mut header = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header))
        .map_err(|error| Error::Unavailable { reason: format!("cannot read {}: {error}", path.display()) })?;
    Ok(header)
}

fn of_ours(header: &[u8], path: &Path) -> Result<(), Error> {
    if !header.starts_with(MAGIC) {
        let reason = "it is not a SQLite database; move it away to start with an empty one".to_owned();
        return Err(Error::Corrupt { what: path.display().to_string(), reason });
    }
    let id = header.get(ID_OFFSET..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_be_bytes);
    if id == Some(APPLICATION_ID) {
        Ok(())
    } else {
        Err(Error::Foreign { database: path.display().to_string() })
    }
}

/// Before the file has a write-ahead log: the mark must be in the file itself, whenever the process ends.
async fn mark(path: &Path) -> Result<(), sqlx::Error> {
    let mut connection =
        SqliteConnectOptions::new().filename(path).disable_statement_logging().connect().await?;
    let mark = AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
    sqlx::query(mark).execute(&mut connection).await?;
    connection.close().await
}
