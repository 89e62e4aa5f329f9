//! Turns and their journals.

use async_trait::async_trait;
use loom_base::{Digest, EffectId, MessageId, SessionId, Timestamp, TraceId, TurnId};
use loom_store::{
    Advance, CallResolution, CutOff, Error, Journal, Listed, Page, Receipt, RequestKey, ToolCallRecord,
    TurnRecord, TurnStore, UnfinishedTurn, WaitingCall, WaitingFor,
};
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::writer::Queue;
use crate::{keys, recovery, waiting};
use loom_store_sql::{Row, records};

/// Columns are named wherever rows are read: a newer Loom may add some while this one runs.
pub(crate) const COLUMNS: &str = "
    id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model, trace_id,
    parent_span, pattern, accepted_at, events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    cost, model_calls, tool_calls, outcome, ended_at, notes, recoveries, stalled, estimated_tokens, estimated_cost, worked,
    reserved, queued";

const EVENTS: &str = "SELECT turn_id, event FROM turn_events WHERE turn_id = $1 ORDER BY seq";

const CALLS: &str = "
SELECT message_id, call_id, tool_name, args, class, effect, started_at, outcome, result, facts, ended_at, resolution
FROM tool_calls
WHERE turn_id = $1
ORDER BY id";

const CALLS_OF_ANSWERS: &str = "
SELECT c.message_id, c.call_id, c.tool_name, c.args, c.class, c.effect, c.started_at, c.outcome, c.result, c.facts,
       c.ended_at, c.resolution
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
            let query = format!("SELECT {COLUMNS} FROM turns WHERE id = $1");
            let found =
                sqlx::query(sqlx::AssertSqlSafe(query)).bind(&id).fetch_optional(&mut *snapshot).await?;
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
            turn: records::turn(&row)?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            calls: calls.iter().map(records::call).collect::<Result<_, _>>()?,
        }))
    }

    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error> {
        let query = "SELECT id FROM turns WHERE trace_id = $1 ORDER BY accepted_at DESC, id DESC LIMIT $2";
        let query = sqlx::query(query).bind(trace.to_string()).bind(i64::from(most));
        let rows = self.reads.within(query.fetch_all(self.reads.connections())).await?;
        rows.iter().rev().map(|row| Row::new(row, "turn", "id").parse("id")).collect()
    }

    async fn of_session(&self, session: &SessionId, page: Page) -> Result<Listed<TurnId>, Error> {
        let query = "
            SELECT id, (SELECT count(*) FROM turns WHERE session_id = $1) AS total
            FROM turns
            WHERE session_id = $1
            ORDER BY accepted_at, id
            LIMIT $2 OFFSET $3";
        let read = sqlx::query(query)
            .bind(session.as_str())
            .bind(i64::from(page.limit))
            .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
            .fetch_all(self.reads.connections());
        records::turn_ids(&self.reads.within(read).await?)
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        let query = "
            SELECT id FROM turns WHERE session_id = $1 AND ended_at IS NULL AND queued IS NULL LIMIT 1";
        self.find(query, session.as_str()).await
    }

    async fn queued(&self, session: &SessionId) -> Result<Vec<TurnRecord>, Error> {
        let query = format!(
            "SELECT {COLUMNS} FROM turns WHERE session_id = $1 AND ended_at IS NULL AND queued IS NOT NULL
             ORDER BY accepted_at, id"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(session.as_str());
        let rows = self.reads.within(query.fetch_all(self.reads.connections())).await?;
        rows.iter().map(records::turn).collect()
    }

    async fn all_unfinished(
        &self,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<UnfinishedTurn>, Error> {
        recovery::unfinished(&self.reads, principal, page).await
    }

    async fn recover(
        &self,
        session: &SessionId,
        epoch: u64,
        turn: TurnId,
        call: CutOff,
    ) -> Result<TurnRecord, Error> {
        self.queue.write(recovery::Recover { session: session.clone(), epoch, turn, call }).await
    }

    async fn put_down(&self, session: &SessionId, epoch: u64, turn: TurnId) -> Result<(), Error> {
        self.queue.write(recovery::PutDown { session: session.clone(), epoch, turn }).await
    }

    async fn waiting(
        &self,
        what: WaitingFor,
        principal: Option<&str>,
        page: Page,
    ) -> Result<Listed<WaitingCall>, Error> {
        waiting::list(&self.reads, what, principal, page).await
    }

    async fn resolve(&self, effect: EffectId, resolution: CallResolution) -> Result<(), Error> {
        self.queue.write(waiting::Resolve { effect, resolution }).await
    }

    async fn of_key(&self, key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error> {
        keys::find(&self.reads, key).await
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64, Error> {
        self.queue.write(keys::Forget(before)).await
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
        rows.iter().map(records::call).collect()
    }
}
