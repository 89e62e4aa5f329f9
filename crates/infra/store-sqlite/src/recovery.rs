//! Turns that a stop cut off.

use async_trait::async_trait;
use loom_base::{SessionId, TurnId};
use loom_store::{CutOff, Error, Listed, Page, TurnRecord, UnfinishedTurn};
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::waiting::{TO_APPROVE, TO_RESOLVE};
use crate::writer::{Touched, Write};
use loom_store_sql::records;

const COUNT: &str = "
SELECT count(*)
FROM turns AS t JOIN sessions AS s ON s.id = t.session_id
WHERE t.ended_at IS NULL AND (?1 IS NULL OR s.principal = ?1)";

const LIST: &str = "
SELECT t.id, t.session_id, t.agent_id, t.accepted_at, t.recoveries, t.stalled, s.principal,
       t.queued IS NOT NULL AS is_queued
FROM turns AS t JOIN sessions AS s ON s.id = t.session_id
WHERE t.ended_at IS NULL AND (?1 IS NULL OR s.principal = ?1)
ORDER BY t.accepted_at, t.rowid
LIMIT ?2 OFFSET ?3";

/// The turns that have not ended.
pub(crate) async fn unfinished(
    reads: &SqlitePool,
    principal: Option<&str>,
    page: Page,
) -> Result<Listed<UnfinishedTurn>, Error> {
    let read = async {
        let mut snapshot = reads.begin().await?;
        let total: i64 = sqlx::query_scalar(COUNT).bind(principal).fetch_one(&mut *snapshot).await?;
        let rows = sqlx::query(LIST)
            .bind(principal)
            .bind(page.limit)
            .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
            .fetch_all(&mut *snapshot)
            .await?;
        Ok((total, rows))
    };
    let (total, rows) = read.await.map_err(|error| unavailable(&error))?;
    let items = rows.iter().map(records::unfinished_turn).collect::<Result<_, _>>()?;
    Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
}

/// 1 for a turn that a stop kept from getting further; 0 for one that only waits for someone, however often it is taken up.
fn stalls() -> String {
    let waits = format!("(({TO_APPROVE}) OR ({TO_RESOLVE}))");
    let open = "SELECT 1 FROM tool_calls AS c WHERE c.turn_id = turns.id AND c.outcome IS NULL";
    format!(
        "CASE WHEN EXISTS ({open} AND {waits})
               AND NOT EXISTS ({open} AND NOT {waits} AND c.started_at IS NOT NULL)
         THEN 0 ELSE 1 END"
    )
}

/// Counts that a turn is taken up again.
pub(crate) struct Recover {
    pub(crate) session: SessionId,
    pub(crate) epoch: u64,
    pub(crate) turn: TurnId,
    pub(crate) call: CutOff,
}

#[async_trait]
impl Write<SqliteConnection> for Recover {
    type Reply = TurnRecord;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<TurnRecord, Error>, Failure> {
        let update = format!(
            "UPDATE turns
             SET recoveries = recoveries + 1, stalled = stalled + {}
             WHERE id = ? AND session_id = ? AND ended_at IS NULL
               AND (SELECT epoch FROM sessions WHERE id = turns.session_id) = ?
             RETURNING *",
            match self.call {
                CutOff::MadeAgain => stalls(),
                CutOff::Settled => "0".to_owned(),
            }
        );
        let row = sqlx::query(AssertSqlSafe(update))
            .bind(self.turn.to_string())
            .bind(self.session.as_str())
            .bind(i64::try_from(self.epoch).unwrap_or(i64::MAX))
            .fetch_optional(connection)
            .await?;
        Ok(match row {
            Some(row) => records::turn(&row),
            None => Err(Error::Fenced { session: self.session.to_string() }),
        })
    }

    fn touched(&self, _reply: &TurnRecord) -> Touched {
        Touched::Nothing
    }
}

/// Counts back that a turn was taken up.
pub(crate) struct PutDown {
    pub(crate) session: SessionId,
    pub(crate) epoch: u64,
    pub(crate) turn: TurnId,
}

#[async_trait]
impl Write<SqliteConnection> for PutDown {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        let update = "
            UPDATE turns SET stalled = max(stalled - 1, 0)
            WHERE id = ? AND session_id = ? AND ended_at IS NULL
              AND (SELECT epoch FROM sessions WHERE id = turns.session_id) = ?";
        sqlx::query(update)
            .bind(self.turn.to_string())
            .bind(self.session.as_str())
            .bind(i64::try_from(self.epoch).unwrap_or(i64::MAX))
            .execute(connection)
            .await?;
        Ok(Ok(()))
    }
}
