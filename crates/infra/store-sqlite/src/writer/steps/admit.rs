//! Decides which steps may be written, by what is stored and by what the steps before them in the batch have changed.

use std::collections::HashMap;

use loom_agent::Spent;
use loom_base::{SessionId, TurnId};
use loom_llm::Usage;
use loom_store::{Advance, Error};
use serde_json::json;
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::error::Failure;
use crate::row::Row;

/// The state of each step's turn and session, one row for each step in the order given.
const READ: &str = "
SELECT j.value ->> 0 AS turn_id, t.session_id, t.events, t.ended_at,
       t.input_tokens, t.output_tokens, t.cache_read_tokens, t.cache_write_tokens, t.cost, t.model_calls, t.tool_calls,
       s.epoch, s.next_message, e.append_id
FROM jsonb_each(?) AS j
LEFT JOIN sessions AS s ON s.id = j.value ->> 2
LEFT JOIN turns AS t ON t.id = j.value ->> 0
LEFT JOIN turn_events AS e ON e.turn_id = j.value ->> 0 AND e.seq = j.value ->> 1
ORDER BY j.key";

/// Why a step needs no error.
pub(super) enum Admitted {
    /// It is to be written now.
    Now,
    /// It was written before; the reply was lost.
    Before,
}

/// A turn as it will be after the batch.
pub(super) struct TurnHead {
    pub(super) session: SessionId,
    pub(super) events: u32,
    pub(super) spent: Spent,
    pub(super) ended: bool,
    pub(super) touched: bool,
}

/// A session as it will be after the batch, and by how much its totals move.
pub(super) struct SessionHead {
    pub(super) epoch: u64,
    pub(super) next_message: u64,
    pub(super) turns: u32,
    pub(super) tokens: [i64; 4],
    pub(super) cost: i64,
    pub(super) context_start: Option<u64>,
    pub(super) last_active: i64,
    pub(super) touched: bool,
}

/// The turns and sessions that a batch is about.
pub(super) struct Heads {
    pub(super) turns: HashMap<TurnId, TurnHead>,
    pub(super) sessions: HashMap<SessionId, SessionHead>,
    /// For each step, the append that its first place in the journal holds.
    stored_appends: Vec<Option<Uuid>>,
    /// The first places that the batch itself has filled.
    new_appends: HashMap<(TurnId, u32), Uuid>,
}

impl Heads {
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        steps: impl Iterator<Item = &Advance> + Clone + Send,
    ) -> Result<Self, Failure> {
        let keys: Vec<_> =
            steps.clone().map(|step| json!([step.turn, step.expected_seq, step.session])).collect();
        let found = sqlx::query(READ).bind(json!(keys).to_string()).fetch_all(connection).await?;
        let mut heads = Self {
            turns: HashMap::new(),
            sessions: HashMap::new(),
            stored_appends: Vec::with_capacity(found.len()),
            new_appends: HashMap::new(),
        };
        for (step, row) in steps.zip(&found) {
            heads.add(step, &Row::new(row, "turns", "turn_id")).map_err(Failure::Refused)?;
        }
        Ok(heads)
    }

    fn add(&mut self, step: &Advance, row: &Row<'_>) -> Result<(), Error> {
        if row.get::<Option<i64>>("epoch")?.is_some() {
            let head = SessionHead {
                epoch: row.number("epoch")?,
                next_message: row.number("next_message")?,
                turns: 0,
                tokens: [0; 4],
                cost: 0,
                context_start: None,
                last_active: i64::MIN,
                touched: false,
            };
            self.sessions.insert(step.session.clone(), head);
        }
        if row.get::<Option<i64>>("events")?.is_some() {
            let spent = Spent {
                usage: row.usage()?,
                cost: row.money("cost")?,
                model_calls: row.number("model_calls")?,
                tool_calls: row.number("tool_calls")?,
            };
            let head = TurnHead {
                session: row.parse("session_id")?,
                events: row.number("events")?,
                spent,
                ended: row.time_if_any("ended_at")?.is_some(),
                touched: false,
            };
            self.turns.insert(step.turn, head);
        }
        let append = row.get::<Option<&str>>("append_id")?.map(str::parse).transpose();
        self.stored_appends.push(append.map_err(|error: uuid::Error| row.corrupt(error))?);
        Ok(())
    }

    /// Whether the `index`-th step may be written. If so, the heads move on; if not, they stay.
    pub(super) fn admit(&mut self, index: usize, step: &Advance) -> Result<Admitted, Error> {
        let place = (step.turn, step.expected_seq);
        let stored = self.stored_appends.get(index).copied().flatten();
        if stored.or_else(|| self.new_appends.get(&place).copied()) == Some(step.append_id) {
            return Ok(Admitted::Before);
        }
        let missing = |what: String| Error::Missing { what };
        let turn = self.turns.get_mut(&step.turn);
        let session = self.sessions.get_mut(&step.session);
        let session = session.ok_or_else(|| missing(format!("session {}", step.session)))?;
        if session.epoch != step.epoch {
            return Err(Error::Fenced { session: step.session.to_string() });
        }
        check(step, turn.as_deref(), session)?;
        let before = turn.as_ref().map_or_else(Spent::default, |turn| turn.spent);
        let had_ended = turn.as_ref().is_some_and(|turn| turn.ended);
        session.move_on(step, before, had_ended);
        let events = u32::try_from(step.events.len()).unwrap_or(u32::MAX);
        let head = TurnHead {
            session: step.session.clone(),
            events: step.expected_seq.saturating_add(events),
            spent: step.spent,
            ended: had_ended || step.end.is_some(),
            touched: true,
        };
        self.turns.insert(step.turn, head);
        self.new_appends.insert(place, step.append_id);
        Ok(Admitted::Now)
    }
}

fn check(step: &Advance, turn: Option<&TurnHead>, session: &SessionHead) -> Result<(), Error> {
    let conflict = |what: String| Err(Error::Conflict { what });
    let length = match turn {
        Some(turn) if turn.session != step.session => {
            return Err(Error::Missing { what: format!("turn {} in session {}", step.turn, step.session) });
        }
        Some(turn) if step.accept.is_none() => turn.events,
        Some(_) => return conflict(format!("turn {}", step.turn)),
        None if step.accept.is_some() => 0,
        None => return Err(Error::Missing { what: format!("turn {}", step.turn) }),
    };
    if length != step.expected_seq {
        return conflict(format!("the journal of turn {}", step.turn));
    }
    if step.events.is_empty() {
        return Err(Error::Missing { what: format!("an event in a step of turn {}", step.turn) });
    }
    let expected = session.next_message..;
    if expected.zip(&step.messages).any(|(seq, message)| message.seq != seq) {
        return conflict(format!("the conversation of session {}", step.session));
    }
    Ok(())
}

impl SessionHead {
    fn move_on(&mut self, step: &Advance, before: Spent, had_ended: bool) {
        self.next_message += step.messages.len() as u64;
        self.turns += u32::from(step.end.is_some() && !had_ended);
        let moved = counts(step.spent.usage).into_iter().zip(counts(before.usage));
        for (total, (now, then)) in self.tokens.iter_mut().zip(moved) {
            *total += now - then;
        }
        self.cost += step.spent.cost.as_nanos() - before.cost.as_nanos();
        self.context_start = step.context_start.or(self.context_start);
        self.last_active = self.last_active.max(step.at.as_micros());
        self.touched = true;
    }
}

/// The counts as they are stored.
pub(super) fn counts(usage: Usage) -> [i64; 4] {
    [usage.input, usage.output, usage.cache_read, usage.cache_write]
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
