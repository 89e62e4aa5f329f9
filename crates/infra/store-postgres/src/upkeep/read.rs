//! One session at one moment.

use async_trait::async_trait;
use loom_base::TurnId;
use loom_store::{Error, MessageRecord, SessionReader, SessionRecord, Stored, StoredTurn, ToolCallRecord};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};

use crate::connect::Pool;
use crate::{messages, sessions, turns};
use loom_store_sql::{Row, records};

/// Events and calls of one turn that are read at most: far more than its limits allow.
const ALL: i64 = i64::MAX;

/// A session in a snapshot of its own. The snapshot lasts as long as this.
pub(crate) struct Reader {
    reads: Pool,
    snapshot: Transaction<'static, Postgres>,
    id: String,
    session: PgRow,
}

impl Reader {
    /// Reads the session `id`; `None` when it is not there.
    pub(crate) async fn open(reads: Pool, id: &str) -> Result<Option<Self>, Error> {
        let read = async {
            let mut snapshot = reads.snapshot().await?;
            let query = format!("SELECT {} FROM sessions WHERE id = $1", sessions::COLUMNS);
            let query = sqlx::query(AssertSqlSafe(query)).bind(id);
            let session = query.fetch_optional(&mut *snapshot).await?;
            Ok(session.map(|session| (snapshot, session)))
        };
        let found = reads.within(read).await?;
        Ok(found.map(|(snapshot, session)| Self { reads, snapshot, id: id.to_owned(), session }))
    }

    async fn rows(&mut self, query: String, key: &str, place: i64, limit: i64) -> Result<Vec<PgRow>, Error> {
        let query = sqlx::query(AssertSqlSafe(query)).bind(key).bind(place).bind(limit);
        self.reads.within(query.fetch_all(&mut *self.snapshot)).await
    }
}

/// Each row with its place.
fn stored<T>(rows: &[PgRow], read: impl Fn(&PgRow) -> Result<T, Error>) -> Vec<Stored<T>> {
    rows.iter().map(|row| Stored { place: row.try_get("place").unwrap_or(-1), row: read(row) }).collect()
}

fn call(row: &PgRow) -> Result<ToolCallRecord, Error> {
    records::call(row)
}

fn message(row: &PgRow) -> Result<MessageRecord, Error> {
    records::message(row)
}

#[async_trait]
impl SessionReader for Reader {
    async fn session(&mut self) -> Result<Result<SessionRecord, Error>, Error> {
        Ok(records::session(&self.session))
    }

    async fn turns(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<TurnId>>, Error> {
        let query = "
            SELECT place, id
            FROM (SELECT id, row_number() OVER (ORDER BY accepted_at, id) AS place
                  FROM turns WHERE session_id = $1) AS numbered
            WHERE place > $2
            ORDER BY place
            LIMIT $3";
        let id = self.id.clone();
        let rows = self.rows(query.to_owned(), &id, place, i64::from(limit)).await?;
        Ok(stored(&rows, |row| Row::new(row, "turn", "id").parse("id")))
    }

    async fn turn(&mut self, turn: TurnId) -> Result<Option<StoredTurn>, Error> {
        let id = turn.to_string();
        let query = format!("SELECT {} FROM turns WHERE id = $1", turns::COLUMNS);
        let query = sqlx::query(AssertSqlSafe(query)).bind(&id);
        let row = self.reads.within(query.fetch_optional(&mut *self.snapshot)).await?;
        let Some(row) = row else { return Ok(None) };
        let events = "
            SELECT seq::bigint AS place, turn_id, event FROM turn_events
            WHERE turn_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let events = self.rows(events.to_owned(), &id, -1, ALL).await?;
        let calls = "
            SELECT id::bigint AS place, message_id, call_id, tool_name, args, class, effect, started_at, outcome,
                   result, facts, ended_at, resolution
            FROM tool_calls WHERE turn_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        let calls = self.rows(calls.to_owned(), &id, -1, ALL).await?;
        let event = |row: &PgRow| Row::new(row, "event of turn", "turn_id").json("event");
        Ok(Some(StoredTurn {
            turn: records::turn(&row),
            events_said: Row::new(&row, "turn", "id").get("events").unwrap_or(-1),
            events: stored(&events, event),
            calls: stored(&calls, call),
        }))
    }

    async fn messages(&mut self, place: i64, limit: u32) -> Result<Vec<Stored<MessageRecord>>, Error> {
        let query = format!(
            "SELECT seq::bigint AS place, {} FROM messages
             WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            messages::COLUMNS
        );
        let id = self.id.clone();
        let rows = self.rows(query, &id, place, i64::from(limit)).await?;
        Ok(stored(&rows, message))
    }
}
