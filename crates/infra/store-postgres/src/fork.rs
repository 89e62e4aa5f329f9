//! Sessions made of the first turns of others.

use async_trait::async_trait;
use loom_base::SessionId;
use loom_store::{Copied, Error, ForkPlan, NewFork, NewSession, SessionRecord};
use loom_store_sql::{Row, records};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::error::Failure;
use crate::sessions::Create;
use crate::writer::Write;

/// A fork to write.
pub(crate) struct Fork(pub(crate) NewFork);

const IDS: &str = "unnest($1::text[], $2::text[], $3::text[]) AS j (copied, id, turn_id)";

/// A call that waits for someone waits there, not here.
fn copies() -> [String; 2] {
    let messages = format!(
        "INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at)
         SELECT j.id, $4, j.turn_id, m.seq, m.role, m.content, m.beside, m.tokens, 0, m.created_at
         FROM {IDS} JOIN messages AS m ON m.id = j.copied
         ORDER BY m.seq"
    );
    let calls = format!(
        "INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class, effect, started_at, outcome, result,
                                 facts, ended_at)
         SELECT j.turn_id, j.id, c.call_id, c.tool_name, c.args, c.class, c.effect, c.started_at, c.outcome, c.result,
                c.facts, c.ended_at
         FROM {IDS} JOIN tool_calls AS c ON c.message_id = j.copied
         WHERE $4::text IS NOT NULL
         ORDER BY c.id"
    );
    [messages, calls]
}

#[async_trait]
impl Write<PgConnection> for Fork {
    type Reply = SessionRecord;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<SessionRecord, Error>, Failure> {
        let fork = &self.0;
        let from = sqlx::query("SELECT id, context_start FROM sessions WHERE id = $1")
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
        sqlx::query("UPDATE sessions SET next_message = $2, context_start = $3 WHERE id = $1")
            .bind(record.id.as_str())
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .bind(i64::try_from(context_start).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
        let ids = |of: fn(&Copied) -> String| messages.iter().map(of).collect::<Vec<_>>();
        for copy in copies() {
            sqlx::query(AssertSqlSafe(copy))
                .bind(ids(|copied| copied.from.to_string()))
                .bind(ids(|copied| copied.to.to_string()))
                .bind(ids(|copied| copied.turn.to_string()))
                .bind(record.id.as_str())
                .execute(&mut *connection)
                .await?;
        }
        let mut totals = record.totals;
        totals.messages = count;
        Ok(Ok(SessionRecord { totals, context_start, next_message: count, ..record }))
    }

    fn session(&self) -> Option<&SessionId> {
        // Locked, so that it is not removed while it is copied.
        Some(&self.0.from)
    }
}

impl Fork {
    async fn plan(&self, connection: &mut PgConnection) -> Result<Result<ForkPlan, Error>, Failure> {
        let rows = sqlx::query(
            "SELECT m.id, m.turn_id, (t.id IS NOT NULL AND t.ended_at IS NULL)::int::bigint AS runs
             FROM messages AS m LEFT JOIN turns AS t ON t.id = m.turn_id
             WHERE m.session_id = $1
             ORDER BY m.seq",
        )
        .bind(self.0.from.as_str())
        .fetch_all(connection)
        .await?;
        let messages: Result<Vec<_>, _> = rows.iter().map(records::forkable).collect();
        Ok(messages.and_then(|messages| self.0.plan(&messages)))
    }
}
