//! Calls that wait for someone: to approve them, or to say what became of them.

use async_trait::async_trait;
use loom_base::EffectId;
use loom_store::{CallResolution, Error, Listed, Page, WaitingCall, WaitingFor};
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::Write;
use loom_store_sql::records;

/// A call `c` that waits for an approval.
pub(crate) const TO_APPROVE: &str =
    "c.approval IS NOT NULL AND c.approval_answer IS NULL AND c.outcome IS NULL";
/// A call `c` that waits for someone to say what became of it.
pub(crate) const TO_RESOLVE: &str = "c.unknown_since IS NOT NULL AND c.resolution IS NULL";

const TABLES: &str = "
tool_calls AS c JOIN turns AS t ON t.id = c.turn_id JOIN sessions AS s ON s.id = t.session_id";

/// The calls that wait for `what`.
pub(crate) async fn list(
    reads: &SqlitePool,
    what: WaitingFor,
    principal: Option<&str>,
    page: Page,
) -> Result<Listed<WaitingCall>, Error> {
    let (waits, order) = match what {
        WaitingFor::Approval => (TO_APPROVE, "c.approval_expires_at"),
        WaitingFor::Resolution => (TO_RESOLVE, "c.unknown_since"),
    };
    let found = format!("FROM {TABLES} WHERE {waits} AND (?1 IS NULL OR s.principal = ?1)");
    let count = format!("SELECT count(*) {found}");
    let list = format!(
        "SELECT c.*, t.session_id, t.agent_id, t.ended_at AS turn_ended_at, s.principal
         {found} ORDER BY {order}, c.id LIMIT ?2 OFFSET ?3"
    );
    let read = async {
        let mut snapshot = reads.begin().await?;
        let total: i64 =
            sqlx::query_scalar(AssertSqlSafe(count)).bind(principal).fetch_one(&mut *snapshot).await?;
        let rows = sqlx::query(AssertSqlSafe(list))
            .bind(principal)
            .bind(page.limit)
            .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
            .fetch_all(&mut *snapshot)
            .await?;
        Ok((total, rows))
    };
    let (total, rows) = read.await.map_err(|error| unavailable(&error))?;
    let items = rows.iter().map(|row| records::waiting_call(row, what)).collect::<Result<_, _>>()?;
    Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
}

/// Records what became of a call whose turn has ended.
pub(crate) struct Resolve {
    pub(crate) effect: EffectId,
    pub(crate) resolution: CallResolution,
}

#[async_trait]
impl Write<SqliteConnection> for Resolve {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        let what = || format!("effect {}", self.effect);
        let find = "
            SELECT c.id, c.resolution
            FROM tool_calls AS c JOIN turns AS t ON t.id = c.turn_id
            WHERE c.turn_id = ? AND c.effect = ? AND c.unknown_since IS NOT NULL AND t.ended_at IS NOT NULL";
        let found: Option<(i64, Option<String>)> = sqlx::query_as(find)
            .bind(self.effect.turn.to_string())
            .bind(self.effect.number)
            .fetch_optional(&mut *connection)
            .await?;
        match found {
            None => return Ok(Err(Error::Missing { what: what() })),
            Some((_, Some(_))) => return Ok(Err(Error::Conflict { what: what() })),
            Some((id, None)) => {
                sqlx::query("UPDATE tool_calls SET resolution = ? WHERE id = ?")
                    .bind(serde_json::json!(self.resolution).to_string())
                    .bind(id)
                    .execute(connection)
                    .await?;
            }
        }
        Ok(Ok(()))
    }
}
