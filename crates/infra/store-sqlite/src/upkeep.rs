//! Looking after the database as a whole.

mod copy;
mod damage;
mod idle;
mod read;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use loom_base::{SessionId, Timestamp};
use loom_store::{Damage, Error, Removed, SessionReader, Shrunk, StoreCounts, UpkeepStore};
use sqlx::{Row as _, SqliteConnection, SqlitePool};

pub(crate) use copy::sync_folder;

use crate::connect::Settings;
use crate::error::{Failure, unavailable};
use crate::writer::{Queue, Write};

const COUNTS: &str = "
SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM turns),
       (SELECT count(*) FROM turns WHERE ended_at IS NULL), (SELECT count(*) FROM messages),
       (SELECT count(*) FROM tool_calls WHERE unknown_since IS NOT NULL AND resolution IS NULL),
       (SELECT count(*) FROM tool_calls
        WHERE approval IS NOT NULL AND approval_answer IS NULL AND outcome IS NULL)";

/// Looks after the database.
pub(crate) struct Upkeep {
    queue: Queue,
    reads: SqlitePool,
    settings: Settings,
}

impl Upkeep {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool, settings: Settings) -> Self {
        Self { queue, reads, settings }
    }
}

#[async_trait]
impl UpkeepStore for Upkeep {
    async fn counts(&self) -> Result<StoreCounts, Error> {
        let row = sqlx::query(COUNTS).fetch_one(&self.reads).await.map_err(|error| unavailable(&error))?;
        let count = |column: usize| u64::try_from(row.get::<i64, _>(column)).unwrap_or(0);
        Ok(StoreCounts {
            sessions: count(0),
            turns: count(1),
            unfinished: count(2),
            messages: count(3),
            unknown_effects: count(4),
            pending_approvals: count(5),
        })
    }

    async fn damages(&self) -> Result<Vec<Damage>, Error> {
        damage::find(&self.settings).await
    }

    async fn session_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        let query = "SELECT id FROM sessions WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2";
        let ids = sqlx::query_scalar(query).bind(after).bind(limit).fetch_all(&self.reads).await;
        ids.map_err(|error| unavailable(&error))
    }

    async fn read(&self, session: &str) -> Result<Option<Box<dyn SessionReader>>, Error> {
        let reader = read::Reader::open(&self.reads, session).await.map_err(|error| unavailable(&error))?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn SessionReader>))
    }

    async fn back_up(&self, file: &Path) -> Result<u64, Error> {
        copy::back_up(&self.settings, file).await
    }

    async fn vacuum(&self) -> Result<Shrunk, Error> {
        let before = size(&self.settings.path);
        self.queue.write_apart(Vacuum).await?;
        Ok(Shrunk { before, after: size(&self.settings.path) })
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<&SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, Error> {
        idle::list(&self.reads, before, after, limit).await
    }

    async fn remove_idle(&self, sessions: &[SessionId], before: Timestamp) -> Result<Removed, Error> {
        self.queue.write(idle::Remove { sessions: sessions.to_vec(), before }).await
    }
}

/// The bytes of the database with its log.
fn size(path: &Path) -> u64 {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    bytes(path) + bytes(&beside(path, "-wal"))
}

/// The file whose name is that of `path` and `suffix`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes the database anew without its holes, and folds the log into it.
struct Vacuum;

#[async_trait]
impl Write<SqliteConnection> for Vacuum {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        sqlx::query("VACUUM").execute(&mut *connection).await?;
        // A reader may keep the log from being emptied; then a later checkpoint does it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
        Ok(Ok(()))
    }
}
