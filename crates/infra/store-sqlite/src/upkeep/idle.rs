//! Sessions that nobody uses any more.

use async_trait::async_trait;
use loom_base::{SessionId, Timestamp};
use loom_store::{Error, Removed};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::Write;
use loom_store_sql::Row;

/// A session `s` that nothing happened in since `?1` and that nothing is owed to.
const IDLE: &str = "
s.last_active < ?1
AND NOT EXISTS (SELECT 1 FROM turns AS t WHERE t.session_id = s.id AND t.ended_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM tool_calls AS c JOIN turns AS t ON t.id = c.turn_id
                WHERE t.session_id = s.id AND c.unknown_since IS NOT NULL AND c.resolution IS NULL)";

/// The idle sessions by id.
pub(crate) async fn list(
    reads: &SqlitePool,
    before: Timestamp,
    after: Option<&SessionId>,
    limit: u32,
) -> Result<Vec<SessionId>, Error> {
    let query = format!(
        "SELECT s.id FROM sessions AS s WHERE (?2 IS NULL OR s.id > ?2) AND {IDLE} ORDER BY s.id LIMIT ?3"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(before.as_micros())
        .bind(after.map(SessionId::as_str))
        .bind(limit)
        .fetch_all(reads)
        .await
        .map_err(|error| unavailable(&error))?;
    rows.iter().map(|row| Row::new(row, "session", "id").parse("id")).collect()
}

/// Removes sessions that are still idle.
pub(crate) struct Remove {
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) before: Timestamp,
}

#[async_trait]
impl Write<SqliteConnection> for Remove {
    type Reply = Removed;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<Removed, Error>, Failure> {
        let named = serde_json::json!(self.sessions).to_string();
        let still_idle = format!(
            "SELECT s.id FROM sessions AS s WHERE s.id IN (SELECT value FROM json_each(?2)) AND {IDLE}"
        );
        let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(still_idle))
            .bind(self.before.as_micros())
            .bind(named)
            .fetch_all(&mut *connection)
            .await?;
        let ids = serde_json::json!(ids).to_string();
        let counts = "
            SELECT (SELECT count(*) FROM turns WHERE session_id IN (SELECT value FROM json_each(?1))),
                   (SELECT count(*) FROM messages WHERE session_id IN (SELECT value FROM json_each(?1)))";
        let row: SqliteRow = sqlx::query(counts).bind(&ids).fetch_one(&mut *connection).await?;
        // Turns, messages and all that hangs on them go by their foreign keys; the index has none.
        let unindex = "
            DELETE FROM messages_fts
            WHERE rowid IN (SELECT number FROM messages
                            WHERE session_id IN (SELECT value FROM json_each(?1))
                              AND number <= (SELECT value FROM meta WHERE key = 'fts_cursor'))";
        sqlx::query(unindex).bind(&ids).execute(&mut *connection).await?;
        let delete = "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?1))";
        let deleted = sqlx::query(delete).bind(&ids).execute(connection).await?;
        let count = |column: usize| u64::try_from(row.get::<i64, _>(column)).unwrap_or(0);
        Ok(Ok(Removed { sessions: deleted.rows_affected(), turns: count(0), messages: count(1) }))
    }
}
