//! Who owns a session: this process, which has the data directory for itself, for as long as the store is open.

use std::time::Duration;

use async_trait::async_trait;
use loom_base::{InstanceId, SessionId};
use loom_store::{Claim, Claimed, Error, LeaseStore, Renewal};
use loom_store_sql::Row;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::{Queue, Touched, Write};

/// What holds the whole directory holds each session in it.
const HELD: Renewal = Renewal::Held { remaining: None };

/// The stored owners.
pub(crate) struct Leases {
    queue: Queue,
    reads: SqlitePool,
}

impl Leases {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl LeaseStore for Leases {
    async fn join(&self, _instance: InstanceId, _address: &str, _ttl: Duration) -> Result<Renewal, Error> {
        Ok(HELD)
    }

    async fn renew(&self, _instance: InstanceId, _address: &str, _ttl: Duration) -> Result<Renewal, Error> {
        Ok(HELD)
    }

    /// Writes nothing: there is nobody to take the session from.
    async fn claim(&self, session: &SessionId, _instance: InstanceId) -> Result<Option<Claim>, Error> {
        let row = sqlx::query("SELECT id, epoch FROM sessions WHERE id = ?")
            .bind(session.as_str())
            .fetch_optional(&self.reads)
            .await
            .map_err(|error| unavailable(&error))?;
        row.map(|row| Ok(Claim::Owned { epoch: Row::new(&row, "session", "id").number("epoch")? }))
            .transpose()
    }

    async fn claim_unfinished(&self, instance: InstanceId, most: u32) -> Result<Vec<Claimed>, Error> {
        self.queue.write(ClaimUnfinished { instance, most }).await
    }

    async fn release(&self, instance: InstanceId) -> Result<(), Error> {
        self.queue.write(Release(instance)).await
    }
}

struct ClaimUnfinished {
    instance: InstanceId,
    most: u32,
}

#[async_trait]
impl Write<SqliteConnection> for ClaimUnfinished {
    type Reply = Vec<Claimed>;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<Vec<Claimed>, Error>, Failure> {
        let find = "
            SELECT s.id, s.epoch
            FROM sessions AS s JOIN turns AS t ON t.session_id = s.id
            WHERE t.ended_at IS NULL AND s.owner IS NOT ?
            GROUP BY s.id
            ORDER BY min(t.accepted_at), s.id
            LIMIT ?";
        let instance = self.instance.to_string();
        let found = sqlx::query(find).bind(&instance).bind(self.most).fetch_all(&mut *connection).await?;
        let claimed: Result<Vec<_>, Error> = found.iter().map(claimed).collect();
        if let Ok(claimed) = &claimed {
            let ids: Vec<_> = claimed.iter().map(|claimed| &claimed.session).collect();
            sqlx::query("UPDATE sessions SET owner = ? WHERE id IN (SELECT value FROM json_each(?))")
                .bind(&instance)
                .bind(serde_json::json!(ids).to_string())
                .execute(connection)
                .await?;
        }
        Ok(claimed)
    }

    fn touched(&self, _reply: &Vec<Claimed>) -> Touched {
        Touched::Nothing
    }
}

fn claimed(row: &SqliteRow) -> Result<Claimed, Error> {
    let row = Row::new(row, "session", "id");
    Ok(Claimed { session: row.parse("id")?, epoch: row.number("epoch")? })
}

struct Release(InstanceId);

#[async_trait]
impl Write<SqliteConnection> for Release {
    type Reply = ();

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<(), Error>, Failure> {
        sqlx::query("UPDATE sessions SET owner = NULL WHERE owner = ?")
            .bind(self.0.to_string())
            .execute(connection)
            .await?;
        Ok(Ok(()))
    }

    fn touched(&self, _reply: &()) -> Touched {
        Touched::Nothing
    }
}
