//! Turns and their journals.

use async_trait::async_trait;
use loom_agent::Spent;
use loom_base::{CallId, MessageId, SessionId, TraceId, TurnId};
use loom_store::{
    Advance, CallStart, Error, Journal, NewTurn, Receipt, ToolCallRecord, TurnEnd, TurnRecord, TurnStore,
};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::error::unavailable;
use crate::row::Row;
use crate::writer::Queue;

/// The stored turns.
pub(crate) struct Turns {
    queue: Queue,
    reads: SqlitePool,
}

impl Turns {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool) -> Self {
        Self { queue, reads }
    }

    /// The id in the one column of the one row of `query`, if any.
    async fn find(&self, query: &'static str, key: &str) -> Result<Option<TurnId>, Error> {
        let row = sqlx::query(query).bind(key).fetch_optional(&self.reads).await;
        let row = row.map_err(|error| unavailable(&error))?;
        row.map(|row| Row::new(&row, "turn", "id").parse("id")).transpose()
    }
}

#[async_trait]
impl TurnStore for Turns {
    fn advance(&self, step: Advance) -> Receipt {
        self.queue.advance(step)
    }

    async fn journal(&self, turn: TurnId) -> Result<Option<Journal>, Error> {
        let id = turn.to_string();
        let read = async {
            let mut snapshot = self.reads.begin().await?;
            let found = sqlx::query("SELECT * FROM turns WHERE id = ?")
                .bind(&id)
                .fetch_optional(&mut *snapshot)
                .await?;
            let Some(row) = found else { return Ok(None) };
            let events = sqlx::query("SELECT * FROM turn_events WHERE turn_id = ? ORDER BY seq")
                .bind(&id)
                .fetch_all(&mut *snapshot)
                .await?;
            let calls = sqlx::query("SELECT * FROM tool_calls WHERE turn_id = ? ORDER BY id")
                .bind(&id)
                .fetch_all(&mut *snapshot)
                .await?;
            Ok(Some((row, events, calls)))
        };
        let Some((row, events, calls)) = read.await.map_err(|error| unavailable(&error))? else {
            return Ok(None);
        };
        let stored: u32 = Row::new(&row, "turn", "id").number("events")?;
        if events.len() != stored as usize {
            let reason = format!("{} of its {stored} events are there", events.len());
            return Err(Row::new(&row, "turn", "id").corrupt(reason));
        }
        let event = |row: &SqliteRow| Row::new(row, "event of turn", "turn_id").json("event");
        Ok(Some(Journal {
            turn: turn_record(&row)?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            calls: calls.iter().map(call_record).collect::<Result<_, _>>()?,
        }))
    }

    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error> {
        let query = "SELECT id FROM turns WHERE trace_id = ? ORDER BY accepted_at DESC, rowid DESC LIMIT ?";
        let rows = sqlx::query(query).bind(trace.to_string()).bind(most).fetch_all(&self.reads).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        rows.iter().rev().map(|row| Row::new(row, "turn", "id").parse("id")).collect()
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        let query = "SELECT id FROM turns WHERE session_id = ? AND ended_at IS NULL ORDER BY rowid LIMIT 1";
        self.find(query, session.as_str()).await
    }

    async fn calls_of(
        &self,
        session: &SessionId,
        messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error> {
        let query = "
            SELECT c.*
            FROM tool_calls AS c JOIN messages AS m ON m.id = c.message_id
            WHERE m.session_id = ? AND c.message_id IN (SELECT value FROM json_each(?))
            ORDER BY c.id";
        let rows = sqlx::query(query)
            .bind(session.as_str())
            .bind(serde_json::json!(messages).to_string())
            .fetch_all(&self.reads)
            .await
            .map_err(|error| unavailable(&error))?;
        rows.iter().map(call_record).collect()
    }
}

fn turn_record(row: &SqliteRow) -> Result<TurnRecord, Error> {
    let row = Row::new(row, "turn", "id");
    let accepted = NewTurn {
        agent: row.parse("agent_id")?,
        agent_version: row.number("agent_version")?,
        rules_version: row.number("rules_version")?,
        config: row.json("config")?,
        rom: row.name("rom")?,
        patterns: row.name("patterns")?,
        provider: row.get("provider")?,
        model: row.get("model")?,
        trace: row.parse("trace_id")?,
        parent_span: row.get("parent_span")?,
        pattern: row.json_if_any("pattern")?,
        accepted_at: row.time("accepted_at")?,
    };
    let end = match row.time_if_any("ended_at")? {
        Some(ended_at) => Some(TurnEnd { outcome: row.json("outcome")?, ended_at }),
        None => None,
    };
    let spent = Spent {
        usage: row.usage()?,
        cost: row.money("cost")?,
        model_calls: row.number("model_calls")?,
        tool_calls: row.number("tool_calls")?,
    };
    Ok(TurnRecord { id: row.parse("id")?, session: row.parse("session_id")?, accepted, spent, end })
}

fn call_record(row: &SqliteRow) -> Result<ToolCallRecord, Error> {
    let row = Row::new(row, "tool call of message", "message_id");
    let start = match row.time_if_any("started_at")? {
        Some(at) => Some(CallStart { effect: row.number("effect")?, at }),
        None => None,
    };
    Ok(ToolCallRecord {
        message: row.parse("message_id")?,
        call: CallId::new(row.get::<String>("call_id")?),
        tool: row.get("tool_name")?,
        arguments: row.json("args")?,
        class: row.name("class")?,
        start,
        outcome: row.name_if_any("outcome")?,
        result: row.json_if_any("result")?,
        facts: row.json_if_any("facts")?.unwrap_or_default(),
        ended_at: row.time_if_any("ended_at")?,
    })
}
