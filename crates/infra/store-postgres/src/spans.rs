//! Spans, committed without waiting for the disk.

use async_trait::async_trait;
use loom_base::TraceId;
use loom_store::{Error, SpanRecord, SpanStore};

use crate::connect::Pool;
use loom_store_sql::records;
use loom_store_sql::text::stored;

const ADD: &str = "
INSERT INTO spans (trace_id, id, parent, name, started_at, ended_at, attributes)
SELECT trace_id, id, parent, name, started_at, ended_at, attributes::json
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
     WITH ORDINALITY AS n (trace_id, id, parent, name, started_at, ended_at, attributes, place)
ORDER BY place";

/// What another process is removing it may remove.
const TRIM: &str = "
DELETE FROM spans
WHERE number IN (SELECT number FROM spans WHERE number <= (SELECT max(number) FROM spans) - $1
                 FOR UPDATE SKIP LOCKED)";

/// The stored spans.
pub(crate) struct Spans {
    pool: Pool,
    most: u32,
}

impl Spans {
    /// Spans in `pool`, the newest `most` of them.
    pub(crate) const fn new(pool: Pool, most: u32) -> Self {
        Self { pool, most }
    }
}

#[async_trait]
impl SpanStore for Spans {
    async fn append(&self, spans: Vec<SpanRecord>) -> Result<(), Error> {
        let attributes = |span: &SpanRecord| serde_json::json!(span.attributes).to_string();
        let add = sqlx::query(ADD)
            .bind(spans.iter().map(|span| span.trace.to_string()).collect::<Vec<_>>())
            .bind(spans.iter().map(|span| span.id.cast_signed()).collect::<Vec<_>>())
            .bind(spans.iter().map(|span| span.parent.map(u64::cast_signed)).collect::<Vec<_>>())
            .bind(spans.iter().map(|span| stored(&span.name)).collect::<Vec<_>>())
            .bind(spans.iter().map(|span| span.started_at.as_micros()).collect::<Vec<_>>())
            .bind(spans.iter().map(|span| span.ended_at.as_micros()).collect::<Vec<_>>())
            .bind(spans.iter().map(attributes).collect::<Vec<_>>());
        let write = async {
            let mut transaction = self.pool.connections().begin().await?;
            add.execute(&mut *transaction).await?;
            sqlx::query(TRIM).bind(i64::from(self.most)).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        self.pool.within(write).await
    }

    async fn of_trace(&self, trace: TraceId) -> Result<Vec<SpanRecord>, Error> {
        let query = "
            SELECT trace_id, id, parent, name, started_at, ended_at, attributes
            FROM spans
            WHERE trace_id = $1
            ORDER BY started_at, number";
        let read = sqlx::query(query).bind(trace.to_string()).fetch_all(self.pool.connections());
        let rows = self.pool.within(read).await?;
        rows.iter().map(records::span).collect()
    }
}
