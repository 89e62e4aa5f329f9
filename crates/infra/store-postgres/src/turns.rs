//! Turns and their journals.

use async_trait::async_trait;
use loom_agent::Spent;
use loom_base::{CallId, MessageId, SessionId, TraceId, TurnId};
use loom_store::{
    Advance, CallStart, Error, Journal, NewTurn, Receipt, ToolCallRecord, TurnEnd, TurnRecord, TurnStore,
};
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::row::Row;
use crate::writer::Queue;

/// Columns are named wherever rows are read: a newer Loom may add some while this one runs.
const TURN: &str = "
SELECT id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model, trace_id,
       parent_span, pattern, accepted_at, events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       cost, model_calls, tool_calls, outcome, ended_at
FROM turns
WHERE id = $1";

const EVENTS: &str = "SELECT turn_id, event FROM turn_events WHERE turn_id = $1 ORDER BY seq";

const CALLS: &str = "
SELECT message_id, call_id, tool_name, args, class, effect, started_at, outcome, result, facts, ended_at
FROM tool_calls
WHERE turn_id = $1
ORDER BY id";

const CALLS_OF_ANSWERS: &str = "
SELECT c.message_id, c.call_id, c.tool_name, c.args, c.class, c.effect, c.started_at, c.outcome, c.result, c.facts,
       c.ended_at
FROM tool_calls AS c JOIN messages AS m ON m.id = c.message_id
WHERE m.session_id = $1 AND c.message_id = ANY ($2)
ORDER BY c.id";

/// The stored turns.
pub(crate) struct Turns {
    queue: Queue,
    reads: Pool,
}

impl Turns {
    pub(crate) const fn new(queue: Queue, reads: Pool) -> Self {
        Self { queue, reads }
    }

    /// The id in the one column of the one row of `query`, if any.
    async fn find(&self, query: &'static str, key: &str) -> Result<Option<TurnId>, Error> {
        let read = sqlx::query(query).bind(key).fetch_optional(self.reads.connections());
        let row = self.reads.within(read).await?;
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
            let mut snapshot = self.reads.snapshot().await?;
            let found = sqlx::query(TURN).bind(&id).fetch_optional(&mut *snapshot).await?;
            let Some(row) = found else { return Ok(None) };
            let events = sqlx::query(EVENTS).bind(&id).fetch_all(&mut *snapshot).await?;
            let calls = sqlx::query(CALLS).bind(&id).fetch_all(&mut *snapshot).await?;
            Ok(Some((row, events, calls)))
        };
        let Some((row, events, calls)) = self.reads.within(read).await? else {
            return Ok(None);
        };
        let stored: u32 = Row::new(&row, "turn", "id").number("events")?;
        if events.len() != stored as usize {
            let reason = format!("{} of its {stored} events are there", events.len());
            return Err(Row::new(&row, "turn", "id").corrupt(reason));
        }
        let event = |row: &PgRow| Row::new(row, "event of turn", "turn_id").json("event");
        Ok(Some(Journal {
            turn: turn_record(&row)?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            calls: calls.iter().map(call_record).collect::<Result<_, _>>()?,
        }))
    }

    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error> {
        let query = "SELECT id FROM turns WHERE trace_id = $1 ORDER BY accepted_at DESC, id DESC LIMIT $2";
        let query = sqlx::query(query).bind(trace.to_string()).bind(i64::from(most));
        let rows = self.reads.within(query.fetch_all(self.reads.connections())).await?;
        rows.iter().rev().map(|row| Row::new(row, "turn", "id").parse("id")).collect()
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        let query = "
            SELECT id FROM turns WHERE session_id = $1 AND ended_at IS NULL ORDER BY accepted_at, id LIMIT 1";
        self.find(query, session.as_str()).await
    }

    async fn calls_of(
        &self,
        session: &SessionId,
        messages: &[MessageId],
    ) -> Result<Vec<ToolCallRecord>, Error> {
        let read = sqlx::query(CALLS_OF_ANSWERS)
            .bind(session.as_str())
            .bind(messages.iter().map(ToString::to_string).collect::<Vec<_>>())
            .fetch_all(self.reads.connections());
        let rows = self.reads.within(read).await?;
        rows.iter().map(call_record).collect()
    }
}

fn turn_record(row: &PgRow) -> Result<TurnRecord, Error> {
    let row = Row::new(row, "turn", "id");
    let accepted = NewTurn {
        agent: row.parse("agent_id")?,
        agent_version: row.number("agent_version")?,
        rules_version: row.number("rules_version")?,
        config: row.json("config")?,
        rom: row.name("rom")?,
        patterns: row.name("patterns")?,
        provider: row.text("provider")?,
        model: row.text("model")?,
        trace: row.parse("trace_id")?,
        parent_span: row.text_if_any("parent_span")?,
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

fn call_record(row: &PgRow) -> Result<ToolCallRecord, Error> {
    let row = Row::new(row, "tool call of message", "message_id");
    let start = match row.time_if_any("started_at")? {
        Some(at) => Some(CallStart { effect: row.number("effect")?, at }),
        None => None,
    };
    Ok(ToolCallRecord {
        message: row.parse("message_id")?,
        call: CallId::new(row.text("call_id")?),
        tool: row.text("tool_name")?,
        arguments: row.json("args")?,
        class: row.name("class")?,
        start,
        outcome: row.name_if_any("outcome")?,
        result: row.json_if_any("result")?,
        facts: row.json_if_any("facts")?.unwrap_or_default(),
        ended_at: row.time_if_any("ended_at")?,
    })
}
