//! Sessions made of the first turns of others.

use async_trait::async_trait;
use loom_store::{Copied, Error, ForkPlan, NewFork, NewSession, SessionRecord};
use loom_store_sql::{Row, records};
use sqlx::SqliteConnection;

use crate::error::Failure;
use crate::sessions::Create;
use crate::writer::Write;

/// A fork to write.
pub(crate) struct Fork(pub(crate) NewFork);

const COPY_MESSAGES: &str = "
INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at)
SELECT j.value ->> 1, ?2, j.value ->> 2, m.seq, m.role, m.content, m.beside, m.tokens, 0, m.created_at
FROM jsonb_each(?1) AS j JOIN messages AS m ON m.id = j.value ->> 0
ORDER BY m.seq";

/// A call that waits for someone waits there, not here.
const COPY_CALLS: &str = "
INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class, effect, started_at, outcome, result, facts,
                        ended_at)
SELECT j.value ->> 2, j.value ->> 1, c.call_id, c.tool_name, c.args, c.class, c.effect, c.started_at, c.outcome, c.result,
       c.facts, c.ended_at
FROM jsonb_each(?1) AS j JOIN tool_calls AS c ON c.message_id = j.value ->> 0
ORDER BY c.id";

#[async_trait]
impl Write<SqliteConnection> for Fork {
    type Reply = SessionRecord;

    async fn write(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Result<SessionRecord, Error>, Failure> {
        let fork = &self.0;
        let from = sqlx::query("SELECT id, context_start FROM sessions WHERE id = ?")
            .bind(fork.from.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some(from) = from else {
            return Ok(Err(Error::Missing { what: format!("session {}", fork.from) }));
        };
        let context_start = Row::new(&from, "session", "id").number::<u64>("context_start");
        let context_start = context_start.map_err(Failure::Refused)?;
        let ForkPlan { messages, metadata } = match self.plan(connection).await? {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error)),
        };
        let create = Create(NewSession { metadata, ..fork.session.clone() });
        let record = match create.write(connection).await? {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        let count = messages.len() as u64;
        let context_start = context_start.min(count);
        sqlx::query("UPDATE sessions SET next_message = ?, context_start = ? WHERE id = ?")
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .bind(i64::try_from(context_start).unwrap_or(i64::MAX))
            .bind(record.id.as_str())
            .execute(&mut *connection)
            .await?;
        let ids: Vec<_> = messages.iter().map(|Copied { from, to, turn }| (from, to, turn)).collect();
        let ids = serde_json::json!(ids).to_string();
        for copy in [COPY_MESSAGES, COPY_CALLS] {
            sqlx::query(copy).bind(&ids).bind(record.id.as_str()).execute(&mut *connection).await?;
        }
        let mut totals = record.totals;
        totals.messages = count;
        Ok(Ok(SessionRecord { totals, context_start, next_message: count, ..record }))
    }
}

impl Fork {
    async fn plan(&self, connection: &mut SqliteConnection) -> Result<Result<ForkPlan, Error>, Failure> {
        let rows = sqlx::query(
            "SELECT m.id, m.turn_id, t.id IS NOT NULL AND t.ended_at IS NULL AS runs
             FROM messages AS m LEFT JOIN turns AS t ON t.id = m.turn_id
             WHERE m.session_id = ?
             ORDER BY m.seq",
        )
        .bind(self.0.from.as_str())
        .fetch_all(connection)
        .await?;
        let messages: Result<Vec<_>, _> = rows.iter().map(records::forkable).collect();
        Ok(messages.and_then(|messages| self.0.plan(&messages)))
    }
}
