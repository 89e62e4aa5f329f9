//! The statements of one batch, put together as one text, so that they go to the database's thread in one go.
//!
//! A batch that changes nothing in a table has no statement for it. The texts are few, and the connection keeps them
//! prepared.

use std::fmt::Write as _;

use loom_store::Error;
use serde::Serialize;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

use crate::budgets;
use crate::error::Failure;

/// Whether the text is a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::writer) enum Extent {
    /// It runs in one that is open.
    Within,
    /// It is one.
    Whole,
}

/// What a statement does. Those with rows take them as one JSON array: `->` keeps JSON as JSON, `->>` takes the value out
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Fails when the database was changed by another connection since it had that version.
    Version,
    Turns,
    /// Turns that have waited, and what they are run by.
    Begun,
    TurnStates,
    Ends,
    /// What the turns that end used.
    Spending,
    SessionStates,
    Activity,
    Events,
    Keys,
    Messages,
    Calls,
    CallStates,
    /// Looks whether the statement before it has changed so many rows. In a whole transaction it fails when it has not.
    Changed(Extent),
}

const CALL_STATES: &str = "UPDATE tool_calls SET effect = coalesce(j.value ->> 2, effect), \
     started_at = coalesce(j.value ->> 3, started_at), outcome = coalesce(j.value ->> 4, outcome), \
     ended_at = coalesce(j.value ->> 5, ended_at), \
     result = iif(j.value ->> 4 IS NULL, result, j.value -> 6), \
     facts = iif(j.value ->> 4 IS NULL, facts, j.value -> 7), \
     approval = coalesce(j.value ->> 8, approval), \
     approval_expires_at = coalesce(j.value ->> 9, approval_expires_at), \
     approval_answer = iif(j.value ->> 10 IS NULL, \
                           iif(j.value ->> 8 IS NULL, approval_answer, NULL), j.value -> 10), \
     unknown_since = coalesce(j.value ->> 11, unknown_since, \
                              iif(j.value ->> 4 = 'unknown', j.value ->> 5, NULL)), \
     resolution = iif(j.value ->> 12 IS NULL, iif(j.value ->> 11 IS NULL, resolution, NULL), \
                      j.value -> 12) \
     FROM jsonb_each(?) AS j WHERE message_id = j.value ->> 0 AND call_id = j.value ->> 1";

impl Part {
    const fn statement(self) -> &'static str {
        match self {
            // Nothing that is no JSON is taken for JSON: a statement has no plainer way to fail.
            Self::Version => {
                "SELECT json(iif((SELECT data_version FROM pragma_data_version) = ?, '0', 'another version'))"
            }
            Self::Changed(Extent::Whole) => "SELECT json(iif(changes() = ?, '0', 'not all'))",
            Self::Changed(Extent::Within) => "SELECT changes() = ?",
            Self::Turns => {
                "INSERT INTO turns (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, \
                 provider, model, trace_id, parent_span, pattern, accepted_at, events, input_tokens, output_tokens, \
                 cache_read_tokens, cache_write_tokens, cost, model_calls, tool_calls, estimated_tokens, estimated_cost, \
                 worked, reserved, queued) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5, value ->> 6, \
                 value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, \
                 iif(value ->> 12 IS NULL, NULL, value -> 12), value ->> 13, value ->> 14, value ->> '$[15][0]', \
                 value ->> '$[15][1]', value ->> '$[15][2]', value ->> '$[15][3]', value ->> 16, value ->> 17, \
                 value ->> 18, value ->> '$[19][1]', value ->> '$[19][2]', value ->> '$[19][3]', \
                 iif(value ->> 20 IS NULL, NULL, value -> 20), iif(value ->> 21 IS NULL, NULL, value -> 21) \
                 FROM jsonb_each(?)"
            }
            Self::Begun => {
                "UPDATE turns SET agent_version = j.value ->> 3, rules_version = j.value ->> 4, config = j.value -> 5, \
                 rom = j.value ->> 6, patterns = j.value ->> 7, provider = j.value ->> 8, model = j.value ->> 9, \
                 pattern = iif(j.value ->> 12 IS NULL, NULL, j.value -> 12), accepted_at = j.value ->> 13 \
                 FROM jsonb_each(?) AS j WHERE turns.id = j.value ->> 0"
            }
            Self::TurnStates => {
                "UPDATE turns SET events = j.value ->> 1, input_tokens = j.value ->> '$[2][0]', \
                 output_tokens = j.value ->> '$[2][1]', cache_read_tokens = j.value ->> '$[2][2]', \
                 cache_write_tokens = j.value ->> '$[2][3]', cost = j.value ->> 3, model_calls = j.value ->> 4, \
                 tool_calls = j.value ->> 5, stalled = 0, estimated_tokens = j.value ->> '$[6][1]', \
                 estimated_cost = j.value ->> '$[6][2]', worked = j.value ->> '$[6][3]', \
                 reserved = iif(j.value ->> 7 IS NULL, NULL, j.value -> 7), queued = NULL \
                 FROM jsonb_each(?) AS j WHERE turns.id = j.value ->> 0"
            }
            Self::Ends => {
                "UPDATE turns SET outcome = j.value -> 1, ended_at = j.value ->> 2, notes = j.value -> 3 \
                 FROM jsonb_each(?) AS j WHERE turns.id = j.value ->> 0"
            }
            Self::Spending => budgets::COUNT,
            Self::SessionStates => {
                "UPDATE sessions SET next_message = j.value ->> 1, turns = turns + (j.value ->> 2), \
                 input_tokens = input_tokens + (j.value ->> '$[3][0]'), \
                 output_tokens = output_tokens + (j.value ->> '$[3][1]'), \
                 cache_read_tokens = cache_read_tokens + (j.value ->> '$[3][2]'), \
                 cache_write_tokens = cache_write_tokens + (j.value ->> '$[3][3]'), cost = cost + (j.value ->> 4), \
                 context_start = coalesce(j.value ->> 5, context_start), \
                 tool_calls = tool_calls + (j.value ->> '$[6][0]'), \
                 estimated_tokens = estimated_tokens + (j.value ->> '$[6][1]'), \
                 estimated_cost = estimated_cost + (j.value ->> '$[6][2]'), \
                 worked = worked + (j.value ->> '$[6][3]') \
                 FROM jsonb_each(?) AS j WHERE sessions.id = j.value ->> 0"
            }
            Self::Activity => {
                "UPDATE sessions SET last_active = max(last_active, j.value ->> 1) \
                 FROM jsonb_each(?) AS j WHERE sessions.id = j.value ->> 0"
            }
            Self::Events => {
                "INSERT INTO turn_events (turn_id, seq, at, append_id, event) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4 FROM jsonb_each(?)"
            }
            Self::Keys => {
                "INSERT INTO idempotency_keys (principal, method, key, digest, turn_id, created_at) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 \
                 FROM jsonb_each(?)"
            }
            Self::Messages => {
                "INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value -> 5, value -> 6, \
                 value ->> 7, value ->> 8, value ->> 9 FROM jsonb_each(?)"
            }
            Self::Calls => {
                "INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class) \
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4, value ->> 5 \
                 FROM jsonb_each(?)"
            }
            Self::CallStates => CALL_STATES,
        }
    }
}

/// What is bound to a statement.
pub(super) enum Argument {
    Number(i64),
    Rows(String),
}

/// Statements and what they take.
pub(super) struct Script {
    extent: Extent,
    text: String,
    arguments: Vec<Argument>,
}

impl Script {
    pub(super) fn new(extent: Extent) -> Self {
        let text = match extent {
            Extent::Within => String::new(),
            Extent::Whole => "BEGIN IMMEDIATE;".to_owned(),
        };
        Self { extent, text, arguments: Vec::new() }
    }

    pub(super) fn add(&mut self, part: Part, argument: Argument) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{};", part.statement());
        self.arguments.push(argument);
    }

    /// Adds `part` unless there are no `rows` for it.
    pub(super) fn rows(&mut self, part: Part, rows: &[impl Serialize]) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let refused = |error: serde_json::Error| Error::Conflict {
            what: format!("a row that does not encode ({error})"),
        };
        let rows = serde_json::to_string(rows).map_err(|error| Failure::Refused(refused(error)))?;
        self.add(part, Argument::Rows(rows));
        Ok(())
    }

    pub(super) fn query(mut self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        if self.extent == Extent::Whole {
            self.text.push_str("COMMIT");
        }
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.arguments.into_iter().fold(query, |query, argument| match argument {
            Argument::Number(number) => query.bind(number),
            Argument::Rows(rows) => query.bind(rows),
        })
    }
}
