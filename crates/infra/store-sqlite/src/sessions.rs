//! Sessions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use loom_base::{AgentId, NanoUsd, SessionId};
use loom_store::{
    AgentTotals, Error, Listed, NewFork, NewSession, Page, SessionFilter, SessionRecord, SessionState,
    SessionStore, SessionTotals, WhenBusy,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::fork::Fork;
use crate::writer::{Queue, Touched, Write};
use loom_store_sql::{Row, records};

/// The epoch of a session that has had one owner only.
const FIRST_EPOCH: u64 = 1;

const FILTERED: &str = "
FROM sessions
WHERE (?1 IS NULL OR agent_id = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR backend = ?3)
  AND (?4 IS NULL OR principal = ?4)";

/// The stored sessions.
pub(crate) struct Sessions {
    queue: Queue,
    reads: SqlitePool,
    count: String,
    list: String,
}

impl Sessions {
    pub(crate) fn new(queue: Queue, reads: SqlitePool) -> Self {
        let count = format!("SELECT count(*) {FILTERED}");
        let list = format!("SELECT * {FILTERED} ORDER BY last_active DESC, id LIMIT ?5 OFFSET ?6");
        Self { queue, reads, count, list }
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, new: NewSession) -> Result<SessionRecord, Error> {
        self.queue.write(Create(new)).await
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, Error> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.reads)
            .await;
        row.map_err(|error| unavailable(&error))?.as_ref().map(records::session).transpose()
    }

    async fn list(&self, filter: &SessionFilter, page: Page) -> Result<Listed<SessionRecord>, Error> {
        let agent = filter.agent.as_ref().map(AgentId::as_str);
        let state = filter.state.map(SessionState::as_str);
        let backend = filter.backend.as_deref();
        let principal = filter.principal.as_deref();
        let read = async {
            let mut snapshot = self.reads.begin().await?;
            let total: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(self.count.clone()))
                .bind(agent)
                .bind(state)
                .bind(backend)
                .bind(principal)
                .fetch_one(&mut *snapshot)
                .await?;
            let rows = sqlx::query(sqlx::AssertSqlSafe(self.list.clone()))
                .bind(agent)
                .bind(state)
                .bind(backend)
                .bind(principal)
                .bind(page.limit)
                .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
                .fetch_all(&mut *snapshot)
                .await?;
            Ok((total, rows))
        };
        let (total, rows) = read.await.map_err(|error| unavailable(&error))?;
        let items = rows.iter().map(records::session).collect::<Result<_, _>>()?;
        Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
    }

    async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error> {
        let query = "
            SELECT agent_id, count(*) FILTER (WHERE state = ?) AS active, sum(next_message) AS messages
            FROM sessions
            GROUP BY agent_id";
        let rows = sqlx::query(query)
            .bind(SessionState::Active.as_str())
            .fetch_all(&self.reads)
            .await
            .map_err(|error| unavailable(&error))?;
        let totals = |row: &SqliteRow| {
            let row = Row::new(row, "sessions of agent", "agent_id");
            let totals =
                AgentTotals { active_sessions: row.number("active")?, messages: row.number("messages")? };
            Ok((row.parse("agent_id")?, totals))
        };
        rows.iter().map(totals).collect()
    }

    async fn fork(&self, fork: NewFork) -> Result<SessionRecord, Error> {
        self.queue.write(Fork(fork)).await
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, Error> {
        self.queue.write(Delete(id.clone())).await
    }
}

/// A session to write.
pub(crate) struct Create(pub(crate) NewSession);

#[async_trait]
impl Write<SqliteConnection> for Create {
    type Reply = SessionRecord;

    async fn write(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Result<SessionRecord, Error>, Failure> {
        let new = &self.0;
        let metadata = serde_json::json!(new.metadata).to_string();
        let insert = "
            INSERT INTO sessions (id, agent_id, created_at, last_active, name, backend, principal, state, metadata,
                                  turns, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost,
                                  context_start, next_message, epoch, when_busy)
            VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 0, 0, 0, 0, ?9, ?10)
            ON CONFLICT (id) DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(new.id.as_str())
            .bind(new.agent.as_str())
            .bind(new.created_at.as_micros())
            .bind(&new.name)
            .bind(&new.backend)
            .bind(&new.principal)
            .bind(SessionState::Active.as_str())
            .bind(metadata)
            .bind(i64::try_from(FIRST_EPOCH).unwrap_or(1))
            .bind(new.when_busy.map(WhenBusy::as_str))
            .execute(connection)
            .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Err(Error::Exists { what: format!("session {}", new.id) }));
        }
        Ok(Ok(SessionRecord {
            id: new.id.clone(),
            agent: new.agent.clone(),
            name: new.name.clone(),
            backend: new.backend.clone(),
            principal: new.principal.clone(),
            state: SessionState::Active,
            metadata: new.metadata.clone(),
            when_busy: new.when_busy,
            created_at: new.created_at,
            last_active: new.created_at,
            totals: SessionTotals { cost: NanoUsd::ZERO, ..SessionTotals::default() },
            context_start: 0,
            next_message: 0,
            epoch: FIRST_EPOCH,
        }))
    }

    fn touched(&self, made: &SessionRecord) -> Touched {
        Touched::NewSession(made.id.clone(), made.epoch)
    }
}

struct Delete(SessionId);

#[async_trait]
impl Write<SqliteConnection> for Delete {
    type Reply = bool;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<bool, Error>, Failure> {
        // Turns, messages and all that hangs on them go by their foreign keys; the index has none.
        let unindex = "
            DELETE FROM messages_fts
            WHERE rowid IN (SELECT number FROM messages
                            WHERE session_id = ? AND number <= (SELECT value FROM meta WHERE key = 'fts_cursor'))";
        sqlx::query(unindex).bind(self.0.as_str()).execute(&mut *connection).await?;
        let deleted = sqlx::query("DELETE FROM sessions WHERE id = ?")
            .bind(self.0.as_str())
            .execute(connection)
            .await?;
        Ok(Ok(deleted.rows_affected() > 0))
    }
}
