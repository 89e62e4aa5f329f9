//! Finding messages by their words: in the index, and in what the index has not reached yet.

use std::cmp::Ordering;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use loom_base::SessionId;
use loom_store::words::{said, share_of, words};
use loom_store::{Error, MessageHit, SearchQuery};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{Failure, unavailable};
use crate::words::{indexed, question};
use crate::writer::{Touched, Write};
use loom_store_sql::{Row, records};

const CURSOR: &str = "SELECT value FROM meta WHERE key = 'fts_cursor'";

/// Messages with all words of `query`, best first.
pub(crate) async fn search(reads: &SqlitePool, query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
    let asked: Vec<_> = words(&query.text).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    // One snapshot, so that a message that is being indexed is found once.
    let mut snapshot = reads.begin().await.map_err(|error| unavailable(&error))?;
    let mut hits = in_index(&mut snapshot, query, &asked).await?;
    let best = hits.first().map_or(1.0, |hit| hit.score);
    hits.extend(in_tail(&mut snapshot, query, &asked, best).await?);
    hits.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    hits.truncate(query.limit as usize);
    Ok(hits)
}

async fn in_index(
    snapshot: &mut SqliteConnection,
    query: &SearchQuery,
    asked: &[String],
) -> Result<Vec<MessageHit>, Error> {
    let find = "
        SELECT m.*, -f.rank AS score
        FROM messages_fts AS f JOIN messages AS m ON m.number = f.rowid
        WHERE messages_fts MATCH ?1 AND (?2 IS NULL OR m.session_id = ?2)
        ORDER BY f.rank, m.number DESC
        LIMIT ?3";
    let rows = sqlx::query(find)
        .bind(question(asked))
        .bind(query.session.as_ref().map(SessionId::as_str))
        .bind(query.limit)
        .fetch_all(snapshot)
        .await
        .map_err(|error| unavailable(&error))?;
    let hit = |row: &SqliteRow| {
        Ok(MessageHit { record: records::message(row)?, score: Row::new(row, "message", "id").get("score")? })
    };
    rows.iter().map(hit).collect()
}

/// Hits among the messages behind the cursor, the best `limit` of them. Their scores grow with the share of asked words
/// towards `best`, the score of the index's best hit: enough to stand among the others, which is all a score is for.
async fn in_tail(
    snapshot: &mut SqliteConnection,
    query: &SearchQuery,
    asked: &[String],
    best: f64,
) -> Result<Vec<MessageHit>, Error> {
    let tail =
        format!("SELECT * FROM messages WHERE number > ({CURSOR}) AND (?1 IS NULL OR session_id = ?1)");
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(tail))
        .bind(query.session.as_ref().map(SessionId::as_str))
        .fetch(snapshot);
    let mut hits = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(|error| unavailable(&error))? {
        let record = records::message(&row)?;
        if let Some(share) = share_of(asked, said(&record.message.content)) {
            hits.push(MessageHit { record, score: best * share });
        }
    }
    Ok(hits)
}

/// Brings the index up to so many messages forward.
pub(crate) struct IndexMore(pub(crate) u32);

#[async_trait]
impl Write<SqliteConnection> for IndexMore {
    type Reply = u32;

    async fn write(&self, connection: &mut SqliteConnection) -> Result<Result<u32, Error>, Failure> {
        let next = format!(
            "SELECT number, id, content FROM messages WHERE number > ({CURSOR}) ORDER BY number LIMIT ?"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(next)).bind(self.0).fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { return Ok(Ok(0)) };
        let row = |row| Row::new(row, "message", "id");
        let mut entries = Vec::with_capacity(rows.len());
        for found in &rows {
            let number: i64 = row(found).get("number").map_err(Failure::Refused)?;
            // A message that does not decode is an error to whoever reads it; the index passes it by.
            match row(found).json::<Vec<_>>("content") {
                Ok(content) => entries.push(json!([number, indexed(&content)])),
                Err(error) => tracing::error!(%error, "a message cannot be indexed"),
            }
        }
        let last: i64 = row(last).get("number").map_err(Failure::Refused)?;
        let add = "
            INSERT INTO messages_fts (rowid, words) SELECT value ->> 0, value ->> 1 FROM json_each(?);
            UPDATE meta SET value = ? WHERE key = 'fts_cursor'";
        sqlx::query(add).bind(json!(entries).to_string()).bind(last).execute(connection).await?;
        Ok(Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX)))
    }

    fn touched(&self, _reply: &u32) -> Touched {
        Touched::Nothing
    }
}
