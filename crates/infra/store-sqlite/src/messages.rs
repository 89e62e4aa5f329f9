//! Messages. Finding them by words is in [`crate::search`].

use async_trait::async_trait;
use futures::TryStreamExt as _;
use loom_base::{MessageId, SessionId};
use loom_store::{Error, Listed, MessageHit, MessageRecord, MessageStore, Page, SearchQuery};
use sqlx::SqlitePool;

use crate::error::unavailable;
use crate::search;
use crate::writer::Queue;
use loom_store_sql::records;

/// The stored messages.
pub(crate) struct Messages {
    queue: Queue,
    reads: SqlitePool,
}

impl Messages {
    pub(crate) const fn new(queue: Queue, reads: SqlitePool) -> Self {
        Self { queue, reads }
    }
}

#[async_trait]
impl MessageStore for Messages {
    async fn list(&self, session: &SessionId, page: Page) -> Result<Listed<MessageRecord>, Error> {
        let read = async {
            let mut snapshot = self.reads.begin().await?;
            let total: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE session_id = ?")
                .bind(session.as_str())
                .fetch_one(&mut *snapshot)
                .await?;
            let rows =
                sqlx::query("SELECT * FROM messages WHERE session_id = ? ORDER BY seq LIMIT ? OFFSET ?")
                    .bind(session.as_str())
                    .bind(page.limit)
                    .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
                    .fetch_all(&mut *snapshot)
                    .await?;
            Ok((total, rows))
        };
        let (total, rows) = read.await.map_err(|error| unavailable(&error))?;
        let items = rows.iter().map(records::message).collect::<Result<_, _>>()?;
        Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
    }

    async fn recent(&self, session: &SessionId, from: u64, tokens: u64) -> Result<Vec<MessageRecord>, Error> {
        let query = "SELECT * FROM messages WHERE session_id = ? AND seq >= ? ORDER BY seq DESC";
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let mut rows = sqlx::query(query).bind(session.as_str()).bind(from).fetch(&self.reads);
        let mut kept = Vec::new();
        let mut used = 0_u64;
        while let Some(row) = rows.try_next().await.map_err(|error| unavailable(&error))? {
            let record = records::message(&row)?;
            used = used.saturating_add(record.message.tokens);
            kept.push(record);
            if used > tokens {
                break;
            }
        }
        kept.reverse();
        Ok(kept)
    }

    async fn of_turn(&self, opening: MessageId, most: u32) -> Result<Vec<MessageRecord>, Error> {
        let query = "
            SELECT m.*
            FROM messages AS o JOIN messages AS m ON m.session_id = o.session_id
            WHERE o.id = ?1 AND m.turn_id = o.turn_id AND m.seq >= o.seq AND m.seq < o.seq + ?2
            ORDER BY m.seq";
        let rows = sqlx::query(query).bind(opening.to_string()).bind(most).fetch_all(&self.reads).await;
        rows.map_err(|error| unavailable(&error))?.iter().map(records::message).collect()
    }

    async fn search(&self, query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
        search::search(&self.reads, query).await
    }

    async fn index_more(&self, limit: u32) -> Result<u32, Error> {
        self.queue.write(search::IndexMore(limit)).await
    }
}
