//! One session at one moment.

use async_trait::async_trait;
use loom_base::TurnId;
use loom_store::{Error, MessageRecord, SessionReader, SessionRecord, Stored, StoredTurn, ToolCallRecord};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use crate::error::unavailable;
use loom_store_sql::{Row, records};

/// A session in a snapshot of its own. The snapshot lasts as long as this.
pub(crate) struct Reader {
    snapshot: Transaction<'static, Sqlite>,
    id: String,
    session: SqliteRow,
}

impl Reader {
    /// Reads the session `id`; `None` when it is not there.
    pub(crate) async fn open(reads: &SqlitePool, id: &str) -> Result<Option<Self>, sqlx::Error> {
        let mut snapshot = reads.begin().await?;
        let query = sqlx::query("SELECT * FROM sessions WHERE id = ?").bind(id);
        let session = query.fetch_optional(&mut *snapshot).await?;
        Ok(session.map(|session| Self { snapshot, id: id.to_owned(), session }))
    }

    async fn rows(
        &mut self,
        query: &'static str,
        key: &str,
        place: i64,
        limit: u32,
    ) -> Result<Vec<SqliteRow>, Error> {
        let query = sqlx::query(query).bind(key).bind(place).bind(limit);
        query.fetch_all(&mut *self.snapshot).await.map_err(|error| unavailable(&error))
    }
}

/// Each row with its place, which is its first column.
fn stored<T>(rows: &[SqliteRow], read: impl Fn(&SqliteRow) -> Result<T, Error>) -> Vec<Stored<T>> {
    rows.iter().map(|row| Stored { place: row.try_get(0).unwrap_or(-1), row: read(row) }).collect()
}

fn call(row: &SqliteRow) -> Result<ToolCallRecord, Error> {
    records::call(row)
}

fn message(row: &SqliteRow) -> Result<MessageRecord, Error> {
    records::message(row)
}

#[async_trait]
impl SessionReader for Reader {
    async fn session(&mut self) -> Result<Result<SessionRecord, Error>, Error> {
        Ok(records::session(&self.session))
    }

    async fn turns(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<TurnId>>, Error> {
        let query = "
            SELECT rowid, id FROM turns WHERE session_id = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3";
        let id = self.id.clone();
        let rows = self.rows(query, &id, place, limit).await?;
        Ok(stored(&rows, |row| Row::new(row, "turn", "id").parse("id")))
    }

    async fn turn(&mut self, turn: TurnId) -> Result<Option<StoredTurn>, Error> {
        let id = turn.to_string();
        let row = sqlx::query("SELECT * FROM turns WHERE id = ?")
            .bind(&id)
            .fetch_optional(&mut *self.snapshot)
            .await
            .map_err(|error| unavailable(&error))?;
        let Some(row) = row else { return Ok(None) };
        let events = "
            SELECT seq, turn_id, event FROM turn_events
            WHERE turn_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let events = self.rows(events, &id, -1, u32::MAX).await?;
        let calls = "SELECT * FROM tool_calls WHERE turn_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let calls = self.rows(calls, &id, -1, u32::MAX).await?;
        let event = |row: &SqliteRow| Row::new(row, "event of turn", "turn_id").json("event");
        Ok(Some(StoredTurn {
            turn: records::turn(&row),
            events_said: row.try_get("events").unwrap_or(-1),
            events: stored(&events, event),
            calls: stored(&calls, call),
        }))
    }

    async fn messages(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<MessageRecord>>, Error> {
        let query = "
            SELECT seq, * FROM messages WHERE session_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let id = self.id.clone();
        let rows = self.rows(query, &id, place, limit).await?;
        Ok(stored(&rows, message))
    }
}
