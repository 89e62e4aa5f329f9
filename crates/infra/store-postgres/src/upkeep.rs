//! Looking after what is stored. The database itself is looked after with PostgreSQL's own tools.

mod read;

use std::path::Path;

use async_trait::async_trait;
use loom_base::{SessionId, Timestamp};
use loom_store::{Damage, Error, Removed, SessionReader, Shrunk, StoreCounts, UpkeepStore};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::{Queue, Write};
use loom_store_sql::Row;

const COUNTS: &str = "
SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM turns) AS turns,
       (SELECT count(*) FROM turns WHERE ended_at IS NULL) AS unfinished,
       (SELECT count(*) FROM messages) AS messages,
       (SELECT count(*) FROM tool_calls WHERE unknown_since IS NOT NULL AND resolution IS NULL) AS unknown_effects,
       (SELECT count(*) FROM tool_calls
        WHERE approval IS NOT NULL AND approval_answer IS NULL AND outcome IS NULL) AS pending_approvals";

/// A session `s` that nothing happened in since `$1` and that nothing is owed to.
const IDLE: &str = "
s.last_active < $1
AND NOT EXISTS (SELECT 1 FROM turns AS t WHERE t.session_id = s.id AND t.ended_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM tool_calls AS c JOIN turns AS t ON t.id = c.turn_id
                WHERE t.session_id = s.id AND c.unknown_since IS NOT NULL AND c.resolution IS NULL)";

/// Looks after what is stored.
pub(crate) struct Upkeep {
    queue: Queue,
    reads: Pool,
}

impl Upkeep {
    pub(crate) const fn new(queue: Queue, reads: Pool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl UpkeepStore for Upkeep {
    async fn counts(&self) -> Result<StoreCounts, Error> {
        let row = self.reads.within(sqlx::query(COUNTS).fetch_one(self.reads.connections())).await?;
        let row = Row::new(&row, "counts", "sessions");
        Ok(StoreCounts {
            sessions: row.number("sessions")?,
            turns: row.number("turns")?,
            unfinished: row.number("unfinished")?,
            messages: row.number("messages")?,
            unknown_effects: row.number("unknown_effects")?,
            pending_approvals: row.number("pending_approvals")?,
        })
    }

    /// Nothing: pages and indexes are what `pg_amcheck` looks at, and references cannot be broken by those who use them.
    async fn damages(&self) -> Result<Vec<Damage>, Error> {
        Ok(Vec::new())
    }

    async fn session_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        let query = "SELECT id FROM sessions WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2";
        let query = sqlx::query_scalar(query).bind(after).bind(i64::from(limit));
        self.reads.within(query.fetch_all(self.reads.connections())).await
    }

    async fn read(&self, session: &str) -> Result<Option<Box<dyn SessionReader>>, Error> {
        let reader = read::Reader::open(self.reads.clone(), session).await?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn SessionReader>))
    }

    async fn back_up(&self, _: &Path) -> Result<u64, Error> {
        Err(Error::Unsupported {
            what: "a backup".to_owned(),
            instead: "use `pg_dump`, and `pg_restore` to bring it back".to_owned(),
        })
    }

    async fn vacuum(&self) -> Result<Shrunk, Error> {
        Err(Error::Unsupported {
            what: "a vacuum".to_owned(),
            instead: "autovacuum does it, or `VACUUM` in psql".to_owned(),
        })
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<&SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, Error> {
        let query = format!(
            "SELECT s.id FROM sessions AS s
             WHERE ($2::text IS NULL OR s.id > $2) AND {IDLE}
             ORDER BY s.id
             LIMIT $3"
        );
        let query = sqlx::query(AssertSqlSafe(query))
            .bind(before.as_micros())
            .bind(after.map(SessionId::as_str))
            .bind(i64::from(limit));
        let rows = self.reads.within(query.fetch_all(self.reads.connections())).await?;
        rows.iter().map(|row| Row::new(row, "session", "id").parse("id")).collect()
    }

    async fn remove_idle(&self, sessions: &[SessionId], before: Timestamp) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        for session in sessions {
            // One at a time: each is locked before anything of its transaction is written.
            removed += self.queue.write(Remove { session: session.clone(), before }).await?;
        }
        Ok(removed)
    }
}

/// Removes a session that is still idle.
struct Remove {
    session: SessionId,
    before: Timestamp,
}

#[async_trait]
impl Write<PgConnection> for Remove {
    type Reply = Removed;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<Removed, Error>, Failure> {
        let counts = format!(
            "SELECT (SELECT count(*) FROM turns AS t WHERE t.session_id = s.id) AS turns,
                    (SELECT count(*) FROM messages AS m WHERE m.session_id = s.id) AS messages
             FROM sessions AS s
             WHERE s.id = $2 AND {IDLE}"
        );
        let found: Option<(i64, i64)> = sqlx::query_as(AssertSqlSafe(counts))
            .bind(self.before.as_micros())
            .bind(self.session.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some((turns, messages)) = found else { return Ok(Ok(Removed::default())) };
        let deleted = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(self.session.as_str())
            .execute(connection)
            .await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Ok(Removed { sessions: deleted.rows_affected(), turns: count(turns), messages: count(messages) }))
    }

    fn session(&self) -> Option<&SessionId> {
        Some(&self.session)
    }
}
