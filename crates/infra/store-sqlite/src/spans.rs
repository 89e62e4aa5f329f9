//! Spans, in a file of their own.

use async_trait::async_trait;
use loom_base::TraceId;
use loom_store::{Error, SpanRecord, SpanStore};
use serde_json::json;
use sqlx::SqlitePool;

use crate::error::unavailable;
use loom_store_sql::records;

const ADD: &str = "
INSERT INTO spans (trace_id, id, parent, name, started_at, ended_at, attributes)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value -> 6 FROM json_each(?);
DELETE FROM spans WHERE number <= (SELECT max(number) FROM spans) - ?";

/// The stored spans.
pub(crate) struct Spans {
    pool: SqlitePool,
    most: u32,
}

impl Spans {
    /// Spans in `pool`, the newest `most` of them.
    pub(crate) const fn new(pool: SqlitePool, most: u32) -> Self {
        Self { pool, most }
    }
}

#[async_trait]
impl SpanStore for Spans {
    async fn append(&self, spans: Vec<SpanRecord>) -> Result<(), Error> {
        let row = |span: &SpanRecord| {
            let parent = span.parent.map(u64::cast_signed);
            let id = span.id.cast_signed();
            json!([span.trace, id, parent, span.name, span.started_at, span.ended_at, span.attributes])
        };
        let rows: Vec<_> = spans.iter().map(row).collect();
        let write = async {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(ADD).bind(json!(rows).to_string()).bind(self.most).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        write.await.map_err(|error| unavailable(&error))
    }

    async fn of_trace(&self, trace: TraceId) -> Result<Vec<SpanRecord>, Error> {
        let rows = sqlx::query("SELECT * FROM spans WHERE trace_id = ? ORDER BY started_at, number")
            .bind(trace.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| unavailable(&error))?;
        rows.iter().map(records::span).collect()
    }
}
