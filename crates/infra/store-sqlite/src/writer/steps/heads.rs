//! Reads what is stored of the turns and sessions that a batch is about.

use loom_store::admission::{Heads, SessionHead, TurnHead};
use loom_store::{Advance, Error};
use serde_json::json;
use sqlx::SqliteConnection;

use crate::error::Failure;
use loom_store_sql::{Row, records};

/// The state of each step's turn and session, one row for each step in the order given.
const READ: &str = "
SELECT j.value ->> 0 AS turn_id, t.session_id, t.events, t.ended_at, t.queued IS NOT NULL AS is_queued,
       t.input_tokens, t.output_tokens, t.cache_read_tokens, t.cache_write_tokens, t.cost, t.model_calls, t.tool_calls,
       t.estimated_tokens, t.estimated_cost, t.worked,
       s.epoch, s.next_message, e.append_id, v.data_version,
       (SELECT u.id FROM turns AS u WHERE u.session_id = s.id AND u.ended_at IS NULL AND u.queued IS NULL LIMIT 1)
       AS unfinished
FROM jsonb_each(?) AS j
CROSS JOIN pragma_data_version AS v
LEFT JOIN sessions AS s ON s.id = j.value ->> 2
LEFT JOIN turns AS t ON t.id = j.value ->> 0
LEFT JOIN turn_events AS e ON e.turn_id = j.value ->> 0 AND e.seq = j.value ->> 1
ORDER BY j.key";

/// The heads that `steps` are admitted by.
pub(in crate::writer) async fn read(
    connection: &mut SqliteConnection,
    steps: impl Iterator<Item = &Advance> + Clone + Send,
) -> Result<Heads, Failure> {
    let keys: Vec<_> =
        steps.clone().map(|step| json!([step.turn, step.expected_seq, step.session])).collect();
    let found = sqlx::query(READ).bind(json!(keys).to_string()).fetch_all(connection).await?;
    let mut heads = Heads::default();
    for (step, row) in steps.zip(&found) {
        add(&mut heads, step, &Row::new(row, "turns", "turn_id")).map_err(Failure::Refused)?;
    }
    Ok(heads)
}

fn add(heads: &mut Heads, step: &Advance, row: &Row<'_>) -> Result<(), Error> {
    heads.version = Some(row.get("data_version")?);
    if row.get::<Option<i64>>("epoch")?.is_some() {
        let unfinished = row.parse_if_any("unfinished")?;
        let head = SessionHead::stored(row.number("epoch")?, row.number("next_message")?, unfinished);
        heads.sessions.insert(step.session.clone(), head);
    }
    if row.get::<Option<i64>>("events")?.is_some() {
        let spent = records::spent(row)?;
        let head = TurnHead {
            session: row.parse("session_id")?,
            events: row.number("events")?,
            spent,
            // What a step holds back takes the place of what the one before did.
            reserved: None,
            ended: row.time_if_any("ended_at")?.is_some(),
            queued: row.get::<Option<i64>>("is_queued")? == Some(1),
            ends: false,
            touched: false,
        };
        heads.turns.insert(step.turn, head);
    }
    let append = row.get::<Option<&str>>("append_id")?.map(str::parse).transpose();
    heads.stored_appends.push(append.map_err(|error: uuid::Error| row.corrupt(error))?);
    Ok(())
}
