//! Decides which steps of a batch may be written, by what is stored and by what the steps before them have changed.
//!
//! Pure: a store reads the heads of the turns and sessions that a batch is about, in the transaction that writes it, and
//! asks here, step by step.

use std::collections::HashMap;

use loom_agent::{Reserved, Spent};
use loom_base::{SessionId, TurnId};
use loom_llm::Usage;
use uuid::Uuid;

use crate::{Advance, Error, Queueing};

/// Why a step needs no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is to be written now.
    Now,
    /// It was written before; the reply was lost.
    Before,
}

/// A turn as it will be after the batch.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "two are what is stored, two what the batch makes of it")]
pub struct TurnHead {
    /// Its session.
    pub session: SessionId,
    /// How many events its journal has.
    pub events: u32,
    /// What it has used.
    pub spent: Spent,
    /// What it holds back.
    pub reserved: Option<Reserved>,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether it waits for the turns before it.
    pub queued: bool,
    /// Whether the batch ends it.
    pub ends: bool,
    /// Whether the batch changes it.
    pub touched: bool,
}

/// A session as it will be after the batch, and by how much its totals move.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionHead {
    /// The epoch of the owner that may write to it.
    pub epoch: u64,
    /// The sequence number the next message gets.
    pub next_message: u64,
    /// Its turn that has begun and not ended.
    pub unfinished: Option<TurnId>,
    /// Turns that the batch ends.
    pub turns: u32,
    /// Tokens that the batch adds, in the order of [`counts`].
    pub tokens: [i64; 4],
    /// What they cost, in nano-dollars.
    pub cost: i64,
    /// What else it adds, in the order of [`others`].
    pub others: [i64; 4],
    /// Its new `context_start`, when that moves.
    pub context_start: Option<u64>,
    /// When the batch last accepts or ends a turn of it, in microseconds.
    pub last_active: Option<i64>,
    /// Whether the batch changes it.
    pub touched: bool,
}

impl SessionHead {
    /// A session as it is stored.
    pub const fn stored(epoch: u64, next_message: u64, unfinished: Option<TurnId>) -> Self {
        Self {
            epoch,
            next_message,
            unfinished,
            turns: 0,
            tokens: [0; 4],
            cost: 0,
            others: [0; 4],
            context_start: None,
            last_active: None,
            touched: false,
        }
    }

    fn move_on(&mut self, step: &Advance, before: Spent, had_ended: bool) {
        self.next_message += step.messages.len() as u64;
        self.turns += u32::from(step.end.is_some() && !had_ended);
        let moved = counts(step.spent.usage).into_iter().zip(counts(before.usage));
        for (total, (now, then)) in self.tokens.iter_mut().zip(moved) {
            *total += now - then;
        }
        self.cost += step.spent.cost.as_nanos() - before.cost.as_nanos();
        let moved = others(&step.spent).into_iter().zip(others(&before));
        for (total, (now, then)) in self.others.iter_mut().zip(moved) {
            *total += now - then;
        }
        if step.end.is_some() {
            self.unfinished = self.unfinished.filter(|turn| *turn != step.turn);
        } else if step.accept.is_some() && !waits(step) {
            self.unfinished = Some(step.turn);
        }
        self.context_start = step.context_start.or(self.context_start);
        // The steps between write the index of activity for nothing.
        if step.accept.is_some() || step.end.is_some() {
            self.last_active = Some(step.at.as_micros()).max(self.last_active);
        }
        self.touched = true;
    }
}

/// The turns and sessions that a batch is about.
#[derive(Debug, Default)]
pub struct Heads {
    /// The turns that are stored, and those that the batch accepts.
    pub turns: HashMap<TurnId, TurnHead>,
    /// The sessions that are stored.
    pub sessions: HashMap<SessionId, SessionHead>,
    /// For each step, the append that its first place in the journal holds.
    pub stored_appends: Vec<Option<Uuid>>,
    /// The version of the database that they were read in; `None` where others may change it without a trace.
    pub version: Option<i64>,
    new_appends: HashMap<(TurnId, u32), Uuid>,
}

impl Heads {
    /// Whether `step`, the `index`-th of the batch, may be written. If so, the heads move on; if not, they stay.
    pub fn admit(&mut self, index: usize, step: &Advance) -> Result<Admitted, Error> {
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
        if waits(step) && turn.as_ref().is_some_and(|turn| turn.queued && turn.session == step.session) {
            // An id is not made twice: it was stored with this very step.
            return Ok(Admitted::Before);
        }
        check(step, turn.as_deref(), session)?;
        let before = turn.as_ref().map_or_else(Spent::default, |turn| turn.spent);
        let (had_ended, ends) = turn.as_ref().map_or((false, false), |turn| (turn.ended, turn.ends));
        session.move_on(step, before, had_ended);
        let events = u32::try_from(step.events.len()).unwrap_or(u32::MAX);
        let head = TurnHead {
            session: step.session.clone(),
            events: step.expected_seq.saturating_add(events),
            spent: step.spent,
            reserved: step.reserved,
            ended: had_ended || step.end.is_some(),
            queued: waits(step),
            ends: ends || (step.end.is_some() && !had_ended),
            touched: true,
        };
        self.turns.insert(step.turn, head);
        self.new_appends.insert(place, step.append_id);
        Ok(Admitted::Now)
    }
}

impl TurnHead {
    /// The same between two batches.
    #[must_use]
    pub fn settled(self) -> Self {
        Self { touched: false, ends: false, ..self }
    }
}

fn check(step: &Advance, turn: Option<&TurnHead>, session: &SessionHead) -> Result<(), Error> {
    let conflict = |what: String| Err(Error::Conflict { what });
    let length = match turn {
        Some(turn) if turn.session != step.session => {
            return Err(Error::Missing { what: format!("turn {} in session {}", step.turn, step.session) });
        }
        Some(turn) if step.accept.is_none() => turn.events,
        Some(turn) if turn.queued && step.queueing == Queueing::Begins => 0,
        Some(_) => return conflict(format!("turn {}", step.turn)),
        None if step.queueing == Queueing::Begins => {
            return Err(Error::Missing { what: format!("turn {} in the queue", step.turn) });
        }
        None if step.accept.is_some() => 0,
        None => return Err(Error::Missing { what: format!("turn {}", step.turn) }),
    };
    if length != step.expected_seq {
        return conflict(format!("the journal of turn {}", step.turn));
    }
    if step.accept.is_some()
        && !waits(step)
        && let Some(other) = session.unfinished.filter(|other| *other != step.turn)
    {
        return conflict(format!("session {}, whose turn {other} is not over,", step.session));
    }
    if step.events.is_empty() != waits(step) {
        return Err(Error::Missing { what: format!("an event in a step of turn {}", step.turn) });
    }
    let expected = session.next_message..;
    if expected.zip(&step.messages).any(|(seq, message)| message.seq != seq) {
        return conflict(format!("the conversation of session {}", step.session));
    }
    Ok(())
}

const fn waits(step: &Advance) -> bool {
    matches!(step.queueing, Queueing::Waits(_))
}

/// What else is counted, as it is stored: tool calls, estimated tokens, their cost in nano-dollars, microseconds of work.
pub fn others(spent: &Spent) -> [i64; 4] {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let worked = i64::try_from(spent.worked.as_micros()).unwrap_or(i64::MAX);
    let estimated = (number(spent.estimated_tokens), spent.estimated_cost.as_nanos());
    [i64::from(spent.tool_calls), estimated.0, estimated.1, worked]
}

/// The counts as they are stored: input, output, cache reads, cache writes.
pub fn counts(usage: Usage) -> [i64; 4] {
    [usage.input, usage.output, usage.cache_read, usage.cache_write]
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
