//! Spans, and whether the store works.

use loom_base::TraceId;
use serde_json::{Map, json};

use super::Outcome;
use super::fixture::{at, ensure, same, text, turn_id};
use crate::{SpanRecord, Stores};

pub(super) async fn spans_are_told_by_trace(stores: Stores) -> Outcome {
    let (one, two) = (TraceId::of_turn(turn_id(1)), TraceId::of_turn(turn_id(2)));
    let span = |trace, id, parent, start| SpanRecord {
        trace,
        id,
        parent,
        name: "run \"it\"".to_owned(),
        started_at: at(start),
        ended_at: at(start + 1),
        attributes: Map::from_iter([("loom.odd".to_owned(), json!(["\0", 0.1, null]))]),
    };
    let (root, child) = (span(one, u64::MAX, None, 1), span(one, 2, Some(u64::MAX), 2));
    stores.spans.append(Vec::new()).await.map_err(text)?;
    stores.spans.append(vec![child.clone(), span(two, 3, None, 0)]).await.map_err(text)?;
    stores.spans.append(vec![root.clone()]).await.map_err(text)?;
    same("by start", &stores.spans.of_trace(one).await.map_err(text)?, &vec![root, child])?;
    same(
        "of no trace",
        &stores.spans.of_trace(TraceId::of_turn(turn_id(3))).await.map_err(text)?,
        &Vec::new(),
    )?;
    let status = stores.health.status().await.map_err(text)?;
    ensure(status.migration > 0 && status.pool.open <= status.pool.most, || format!("odd status: {status:?}"))
}
