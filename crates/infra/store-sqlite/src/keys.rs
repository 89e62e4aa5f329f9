//! The keys that requests were sent under.

use async_trait::async_trait;
use loom_base::{Digest, Timestamp, TurnId};
use loom_store::{Error, RequestKey};
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::writer::{Touched, Write};
use loom_store_sql::records;

/// The turn and the digest that `key` stands for.
pub(crate) async fn find(reads: &SqlitePool, key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error> {
    let query = "
        SELECT key, turn_id, digest FROM idempotency_keys WHERE principal = ? AND method = ? AND key = ?";
    let row = sqlx::query(query)
        .bind(&key.principal)
        .bind(&key.method)
        .bind(&key.key)
        .fetch_optional(reads)
        .await
        .map_err(|error| unavailable(&error))?;
    row.map(|row| records::keyed_turn(&row)).transpose()
}

/// Frees the keys that are older than this.
pub(crate) struct Forget(pub(crate) Timestamp);

#[async_trait]
impl Write<SqliteConnection> for Forget {
    type Reply = u64;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<u64, Error>, Failure> {
        let delete = "DELETE FROM idempotency_keys WHERE created_at < ?";
        let deleted = sqlx::query(delete).bind(self.0.as_micros()).execute(connection).await?;
        Ok(Ok(deleted.rows_affected()))
    }

    fn touched(&self, _reply: &u64) -> Touched {
        Touched::Nothing
    }
}
