//! Turns and their journals.

use async_trait::async_trait;
use loom_base::{Digest, EffectId, MessageId, SessionId, Timestamp, TraceId, TurnId};
use loom_store::{
    Advance, CallResolution, CutOff, Error, Journal, Listed, Page, Receipt, RequestKey, ToolCallRecord,
    TurnRecord, TurnStore, UnfinishedTurn, WaitingCall, WaitingFor,
};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::error::unavailable;
use crate::writer::Queue;
use crate::{keys, recovery, waiting};
use loom_store_sql::{Row, records};

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
            turn: records::turn(&row)?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            calls: calls.iter().map(records::call).collect::<Result<_, _>>()?,
        }))
    }

    async fn of_trace(&self, trace: TraceId, most: u32) -> Result<Vec<TurnId>, Error> {
        let query = "SELECT id FROM turns WHERE trace_id = ? ORDER BY accepted_at DESC, rowid DESC LIMIT ?";
        let rows = sqlx::query(query).bind(trace.to_string()).bind(most).fetch_all(&self.reads).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        rows.iter().rev().map(|row| Row::new(row, "turn", "id").parse("id")).collect()
    }

    async fn of_session(&self, session: &SessionId, page: Page) -> Result<Listed<TurnId>, Error> {
        let query = "
            SELECT id, (SELECT count(*) FROM turns WHERE session_id = ?1) AS total
            FROM turns
            WHERE session_id = ?1
            ORDER BY accepted_at, rowid
            LIMIT ?2 OFFSET ?3";
        let rows = sqlx::query(query)
            .bind(session.as_str())
            .bind(page.limit)
            .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
            .fetch_all(&self.reads)
            .await
            .map_err(|error| unavailable(&error))?;
        records::turn_ids(&rows)
    }

    async fn unfinished(&self, session: &SessionId) -> Result<Option<TurnId>, Error> {
        let query =
            "SELECT id FROM turns WHERE session_id = ? AND ended_at IS NULL AND queued IS NULL LIMIT 1";
        self.find(query, session.as_str()).await
    }

    async fn queued(&self, session: &SessionId) -> Result<Vec<TurnRecord>, Error> {
        let query = "
            SELECT * FROM turns WHERE session_id = ? AND ended_at IS NULL AND queued IS NOT NULL
            ORDER BY accepted_at, rowid";
        let rows = sqlx::query(query).bind(session.as_str()).fetch_all(&self.reads).await;
        rows.map_err(|error| unavailable(&error))?.iter().map(records::turn).collect()
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
        rows.iter().map(records::call).collect()
    }
}
