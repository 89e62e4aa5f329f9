//! Finding messages by their words: in the index, and in what the index has not reached yet.

use std::cmp::Ordering;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use loom_base::SessionId;
use loom_store::words::{said, share_of, words};
use loom_store::{Error, MessageHit, MessageRecord, SearchQuery};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::connect::Pool;
use crate::error::Failure;
use crate::messages::COLUMNS;
use crate::words::{TOO_LARGE, question, vector};
use crate::writer::Write;
use loom_store_sql::{Row, records};

/// A rank grows with how often and how near to each other the words are; 1 divides it by the logarithm of the length.
const RANK: &str = "ts_rank(words, $1::tsquery, 1)::float8";

/// Messages with all words of `query`, best first.
pub(crate) async fn search(reads: &Pool, query: &SearchQuery) -> Result<Vec<MessageHit>, Error> {
    let asked: Vec<_> = words(&query.text).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let read = async {
        // One snapshot, so that a message that is being indexed is found once.
        let mut snapshot = reads.snapshot().await?;
        let indexed = in_index(&mut snapshot, query, &asked).await?;
        let tail = in_tail(&mut snapshot, query, &asked).await?;
        Ok((indexed, tail))
    };
    let (indexed, tail) = reads.within(read).await?;
    let hit = |row: &PgRow| {
        Ok(MessageHit { record: records::message(row)?, score: Row::new(row, "message", "id").get("score")? })
    };
    let mut hits = indexed.iter().map(hit).collect::<Result<Vec<_>, _>>()?;
    // Their scores grow with the share of asked words towards that of the index's best hit: enough to stand among the
    // others, which is all a score is for.
    let best = hits.first().map_or(1.0, |hit| hit.score);
    hits.extend(tail?.into_iter().map(|(record, share)| MessageHit { record, score: best * share }));
    hits.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    hits.truncate(query.limit as usize);
    Ok(hits)
}

async fn in_index(
    snapshot: &mut PgConnection,
    query: &SearchQuery,
    asked: &[String],
) -> Result<Vec<PgRow>, sqlx::Error> {
    let find = format!(
        "SELECT {COLUMNS}, {RANK} AS score
         FROM messages
         WHERE words @@ $1::tsquery AND ($2::text IS NULL OR session_id = $2)
         ORDER BY score DESC, number DESC
         LIMIT $3"
    );
    sqlx::query(sqlx::AssertSqlSafe(find))
        .bind(question(asked))
        .bind(query.session.as_ref().map(SessionId::as_str))
        .bind(i64::from(query.limit))
        .fetch_all(snapshot)
        .await
}

/// Hits among the messages that the index has not reached, or that do not fit into it, with the share that the asked words
/// have of them. The inner error is a message that does not decode.
async fn in_tail(
    snapshot: &mut PgConnection,
    query: &SearchQuery,
    asked: &[String],
) -> Result<Result<Vec<(MessageRecord, f64)>, Error>, sqlx::Error> {
    let tail = format!(
        "SELECT {COLUMNS} FROM messages WHERE words IS NULL AND ($1::text IS NULL OR session_id = $1)
         UNION ALL
         SELECT {COLUMNS} FROM messages WHERE words @@ $2::tsquery AND ($1::text IS NULL OR session_id = $1)"
    );
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(tail))
        .bind(query.session.as_ref().map(SessionId::as_str))
        .bind(TOO_LARGE)
        .fetch(snapshot);
    let mut hits = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let record = match records::message(&row) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(share) = share_of(asked, said(&record.message.content)) {
            hits.push((record, share));
        }
    }
    Ok(Ok(hits))
}

/// Brings the index up to so many messages forward.
pub(crate) struct IndexMore(pub(crate) u32);

#[async_trait]
impl Write<PgConnection> for IndexMore {
    type Reply = u32;

    async fn write(&self, connection: &mut PgConnection) -> Result<Result<u32, Error>, Failure> {
        // What another process is indexing it indexes.
        let next = "
            SELECT number, id, content
            FROM messages
            WHERE words IS NULL
            ORDER BY number
            LIMIT $1
            FOR NO KEY UPDATE SKIP LOCKED";
        let rows = sqlx::query(next).bind(i64::from(self.0)).fetch_all(&mut *connection).await?;
        let mut numbers: Vec<i64> = Vec::with_capacity(rows.len());
        let mut vectors = Vec::with_capacity(rows.len());
        for found in &rows {
            let row = Row::new(found, "message", "id");
            numbers.push(row.get("number").map_err(Failure::Refused)?);
            // A message that does not decode is an error to whoever reads it; the index passes it by.
            let content = row.json::<Vec<_>>("content").unwrap_or_else(|error| {
                tracing::error!(%error, "a message cannot be indexed");
                Vec::new()
            });
            vectors.push(vector(&content));
        }
        if !rows.is_empty() {
            let add = "
                UPDATE messages AS m SET words = n.words::tsvector
                FROM unnest($1::bigint[], $2::text[]) AS n (number, words)
                WHERE m.number = n.number";
            sqlx::query(add).bind(numbers).bind(vectors).execute(connection).await?;
        }
        Ok(Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX)))
    }
}
