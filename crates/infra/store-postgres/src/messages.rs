//! Messages. Finding them by words is in [`crate::search`].

use async_trait::async_trait;
use loom_base::{MessageId, SessionId};
use loom_store::{Error, Listed, MessageHit, MessageRecord, MessageStore, Page, SearchQuery};
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::search;
use crate::writer::Queue;
use loom_store_sql::records;

/// What a [record](records::message) is made of.
pub(crate) const COLUMNS: &str =
    "id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at";

/// Recent messages read at a time.
const CHUNK: usize = 32;

/// The stored messages.
pub(crate) struct Messages {
    queue: Queue,
    reads: Pool,
}

impl Messages {
    pub(crate) const fn new(queue: Queue, reads: Pool) -> Self {
        Self { queue, reads }
    }

    /// The newest messages of a session from `from` on and before `before`, newest first, [`CHUNK`] of them at most.
    async fn chunk(&self, session: &SessionId, from: i64, before: i64) -> Result<Vec<PgRow>, Error> {
        let query = format!(
            "SELECT {COLUMNS} FROM messages
             WHERE session_id = $1 AND seq >= $2 AND seq < $3
             ORDER BY seq DESC
             LIMIT $4"
        );
        let read = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(session.as_str())
            .bind(from)
            .bind(before)
            .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
            .fetch_all(self.reads.connections());
        self.reads.within(read).await
    }
}

#[async_trait]
impl MessageStore for Messages {
    async fn list(&self, session: &SessionId, page: Page) -> Result<Listed<MessageRecord>, Error> {
        let list =
            format!("SELECT {COLUMNS} FROM messages WHERE session_id = $1 ORDER BY seq LIMIT $2 OFFSET $3");
        let read = async {
            let mut snapshot = self.reads.snapshot().await?;
            let total: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE session_id = $1")
                .bind(session.as_str())
                .fetch_one(&mut *snapshot)
                .await?;
            let rows = sqlx::query(sqlx::AssertSqlSafe(list))
                .bind(session.as_str())
                .bind(i64::from(page.limit))
                .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
                .fetch_all(&mut *snapshot)
                .await?;
            Ok((total, rows))
        };
        let (total, rows) = self.reads.within(read).await?;
        let items = rows.iter().map(records::message).collect::<Result<_, _>>()?;
        Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
    }

    async fn recent(&self, session: &SessionId, from: u64, tokens: u64) -> Result<Vec<MessageRecord>, Error> {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let mut before = i64::MAX;
        let mut kept = Vec::new();
        let mut used = 0_u64;
        while used <= tokens {
            // Some at a time: the server sends all that is asked for, however soon one has read enough.
            let rows = self.chunk(session, from, before).await?;
            let is_last = rows.len() < CHUNK;
            for row in rows {
                let record = records::message(&row)?;
                before = i64::try_from(record.message.seq).unwrap_or(i64::MAX);
                used = used.saturating_add(record.message.tokens);
                kept.push(record);
                if used > tokens {
                    break;
                }
            }
            if is_last {
                break;
            }
        }
        kept.reverse();
        Ok(kept)
    }

    async fn of_turn(&self, opening: MessageId, most: u32) -> Result<Vec<MessageRecord>, Error> {
        let query = "
            SELECT m.id, m.session_id, m.turn_id, m.seq, m.role, m.content, m.beside, m.tokens, m.cost, m.created_at
            FROM messages AS o JOIN messages AS m ON m.session_id = o.session_id
            WHERE o.id = $1 AND m.turn_id = o.turn_id AND m.seq >= o.seq AND m.seq < o.seq + $2
            ORDER BY m.seq";
        let read = sqlx::query(query).bind(opening.to_string()).bind(i64::from(most));
        let rows = self.reads.within(read.fetch_all(self.reads.connections())).await?;
        rows.iter().map(records::message).collect()
    }

    async fn search(&self, query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
        search::search(&self.reads, query).await
    }

    async fn index_more(&self, limit: u32) -> Result<u32, Error> {
        self.queue.write(search::IndexMore(limit)).await
    }
}
