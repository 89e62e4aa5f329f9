//! The keys that requests were sent under.

use async_trait::async_trait;
use loom_base::{Digest, Timestamp, TurnId};
use loom_store::{Error, RequestKey};
use sqlx::PgConnection;

use crate::connect::Pool;
use crate::error::Failure;
use crate::writer::Write;
use loom_store_sql::records;
use loom_store_sql::text::stored;

/// The turn and the digest that `key` stands for.
pub(crate) async fn find(reads: &Pool, key: &RequestKey) -> Result<Option<(TurnId, Digest)>, Error> {
    let query = "
        SELECT key, turn_id, digest FROM idempotency_keys WHERE principal = $1 AND method = $2 AND key = $3";
    let read = sqlx::query(query)
        .bind(stored(&key.principal))
        .bind(stored(&key.method))
        .bind(stored(&key.key))
        .fetch_optional(reads.connections());
    let row = reads.within(read).await?;
    row.map(|row| records::keyed_turn(&row)).transpose()
}

/// Frees the keys that are older than this.
pub(crate) struct Forget(pub(crate) Timestamp);

#[async_trait]
impl Write<PgConnection> for Forget {
    type Reply = u64;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<u64, Error>, Failure> {
        let delete = "DELETE FROM idempotency_keys WHERE created_at < $1";
        let deleted = sqlx::query(delete).bind(self.0.as_micros()).execute(connection).await?;
        Ok(Ok(deleted.rows_affected()))
    }
}
