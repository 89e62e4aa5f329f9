//! Sessions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use loom_base::{AgentId, NanoUsd, SessionId};
use loom_store::{
    AgentTotals, Error, Listed, NewFork, NewSession, Page, SessionFilter, SessionRecord, SessionState,
    SessionStore, SessionTotals, WhenBusy,
};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::error::Failure;
use crate::fork::Fork;
use crate::writer::{Queue, Write};
use loom_store_sql::text::stored;
use loom_store_sql::{Row, records};

/// The epoch of a session that has had one owner only.
const FIRST_EPOCH: u64 = 1;

pub(crate) const COLUMNS: &str = "
id, agent_id, created_at, last_active, name, backend, principal, state, metadata, turns, input_tokens, output_tokens,
cache_read_tokens, cache_write_tokens, cost, context_start, next_message, epoch, tool_calls, estimated_tokens,
estimated_cost, worked, when_busy";

const FILTERED: &str = "
FROM sessions
WHERE ($1::text IS NULL OR agent_id = $1) AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR backend = $3) AND ($4::text IS NULL OR principal = $4)";

/// The stored sessions.
pub(crate) struct Sessions {
    queue: Queue,
    reads: Pool,
    get: String,
    count: String,
    list: String,
}

impl Sessions {
    pub(crate) fn new(queue: Queue, reads: Pool) -> Self {
        let count = format!("SELECT count(*) {FILTERED}");
        let get = format!("SELECT {COLUMNS} FROM sessions WHERE id = $1");
        let list = format!("SELECT {COLUMNS} {FILTERED} ORDER BY last_active DESC, id LIMIT $5 OFFSET $6");
        Self { queue, reads, get, count, list }
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, new: NewSession) -> Result<SessionRecord, Error> {
        self.queue.write(Create(new)).await
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, Error> {
        let read = sqlx::query(sqlx::AssertSqlSafe(self.get.clone()))
            .bind(id.as_str())
            .fetch_optional(self.reads.connections());
        self.reads.within(read).await?.as_ref().map(records::session).transpose()
    }

    async fn list(&self, filter: &SessionFilter, page: Page) -> Result<Listed<SessionRecord>, Error> {
        let agent = filter.agent.as_ref().map(AgentId::as_str);
        let state = filter.state.map(SessionState::as_str);
        let backend = filter.backend.as_deref().map(stored);
        let principal = filter.principal.as_deref().map(stored);
        let read = async {
            let mut snapshot = self.reads.snapshot().await?;
            let total: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(self.count.clone()))
                .bind(agent)
                .bind(state)
                .bind(&backend)
                .bind(&principal)
                .fetch_one(&mut *snapshot)
                .await?;
            let rows = sqlx::query(sqlx::AssertSqlSafe(self.list.clone()))
                .bind(agent)
                .bind(state)
                .bind(&backend)
                .bind(&principal)
                .bind(i64::from(page.limit))
                .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
                .fetch_all(&mut *snapshot)
                .await?;
            Ok((total, rows))
        };
        let (total, rows) = self.reads.within(read).await?;
        let items = rows.iter().map(records::session).collect::<Result<_, _>>()?;
        Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
    }

    async fn totals_by_agent(&self) -> Result<BTreeMap<AgentId, AgentTotals>, Error> {
        let query = "
            SELECT agent_id, count(*) FILTER (WHERE state = $1) AS active, sum(next_message)::bigint AS messages
            FROM sessions
            GROUP BY agent_id";
        let read = sqlx::query(query).bind(SessionState::Active.as_str()).fetch_all(self.reads.connections());
        let rows = self.reads.within(read).await?;
        let totals = |row: &PgRow| {
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
impl Write<PgConnection> for Create {
    type Reply = SessionRecord;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<SessionRecord, Error>, Failure> {
        let new = &self.0;
        let metadata = serde_json::json!(new.metadata).to_string();
        let insert = "
            INSERT INTO sessions (id, agent_id, created_at, last_active, name, backend, principal, state, metadata,
                                  turns, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost,
                                  context_start, next_message, epoch, when_busy)
            VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8::json, 0, 0, 0, 0, 0, 0, 0, 0, $9, $10)
            ON CONFLICT (id) DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(new.id.as_str())
            .bind(new.agent.as_str())
            .bind(new.created_at.as_micros())
            .bind(stored(&new.name))
            .bind(stored(&new.backend))
            .bind(stored(&new.principal))
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
}

struct Delete(SessionId);

#[async_trait]
impl Write<PgConnection> for Delete {
    type Reply = bool;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<bool, Error>, Failure> {
        // Turns, messages and all that hangs on them go by their foreign keys.
        let deleted = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(self.0.as_str())
            .execute(connection)
            .await?;
        Ok(Ok(deleted.rows_affected() > 0))
    }

    fn session(&self) -> Option<&SessionId> {
        Some(&self.0)
    }
}
