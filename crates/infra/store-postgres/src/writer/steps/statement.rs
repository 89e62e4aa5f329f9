//! The statement that writes a batch of steps, and its columns.
//!
//! All parts of one statement see the database as it was before it: a turn or call that the batch adds is not there to be
//! updated, so it is added as it is at the batch's end.

use std::borrow::Cow;

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;

/// The statement while its arrays are bound to it.
pub(super) type Query<'q> = QueryScalar<'q, Postgres, i64, PgArguments>;

/// Returns how many calls that were stored before have changed.
const WRITE: &str = "
WITH turn_states AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::bigint[], $9::bigint[], $10::text[], $11::bigint[])
    AS s (id, events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, model_calls, tool_calls,
          outcome, ended_at)
), added_turns AS (
    INSERT INTO turns (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model,
                       trace_id, parent_span, pattern, accepted_at,
                       events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, model_calls,
                       tool_calls, outcome, ended_at)
    SELECT n.id, n.session_id, n.agent_id, n.agent_version, n.rules_version, n.config::json, n.rom, n.patterns,
           n.provider, n.model, n.trace_id, n.parent_span, n.pattern::json, n.accepted_at,
           s.events, s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cost, s.model_calls,
           s.tool_calls, s.outcome::json, s.ended_at
    FROM unnest($12::text[], $13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::text[], $18::text[],
                $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::bigint[])
         AS n (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model, trace_id,
               parent_span, pattern, accepted_at)
    JOIN turn_states AS s ON s.id = n.id
), changed_turns AS (
    UPDATE turns AS t
    SET events = s.events, input_tokens = s.input_tokens, output_tokens = s.output_tokens,
        cache_read_tokens = s.cache_read_tokens, cache_write_tokens = s.cache_write_tokens, cost = s.cost,
        model_calls = s.model_calls, tool_calls = s.tool_calls, outcome = coalesce(s.outcome::json, t.outcome),
        ended_at = coalesce(s.ended_at, t.ended_at)
    FROM turn_states AS s
    WHERE t.id = s.id
), changed_sessions AS (
    UPDATE sessions AS t
    SET next_message = s.next_message, turns = t.turns + s.turns, input_tokens = t.input_tokens + s.input_tokens,
        output_tokens = t.output_tokens + s.output_tokens,
        cache_read_tokens = t.cache_read_tokens + s.cache_read_tokens,
        cache_write_tokens = t.cache_write_tokens + s.cache_write_tokens, cost = t.cost + s.cost,
        context_start = coalesce(s.context_start, t.context_start), last_active = greatest(t.last_active, s.last_active)
    FROM unnest($26::text[], $27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[],
                $33::bigint[], $34::bigint[], $35::bigint[])
         AS s (id, next_message, turns, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost,
               context_start, last_active)
    WHERE t.id = s.id
), added_events AS (
    INSERT INTO turn_events (turn_id, seq, at, append_id, event)
    SELECT turn_id, seq, at, append_id, event::json
    FROM unnest($36::text[], $37::bigint[], $38::bigint[], $39::text[], $40::text[])
         AS n (turn_id, seq, at, append_id, event)
), added_messages AS (
    INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at)
    SELECT id, session_id, turn_id, seq, role, content::json, beside::json, tokens, cost, created_at
    FROM unnest($41::text[], $42::text[], $43::text[], $44::bigint[], $45::text[], $46::text[], $47::text[],
                $48::bigint[], $49::bigint[], $50::bigint[])
         WITH ORDINALITY AS n (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at, place)
    ORDER BY place
), call_states AS (
    SELECT * FROM unnest($51::text[], $52::text[], $53::bigint[], $54::bigint[], $55::text[], $56::bigint[],
                         $57::text[], $58::text[])
    AS s (message_id, call_id, effect, started_at, outcome, ended_at, result, facts)
), added_calls AS (
    INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class, effect, started_at, outcome, ended_at,
                            result, facts)
    SELECT n.turn_id, n.message_id, n.call_id, n.tool_name, n.args::json, n.class, s.effect, s.started_at, s.outcome,
           s.ended_at, s.result::json, s.facts::json
    FROM unnest($59::text[], $60::text[], $61::text[], $62::text[], $63::text[], $64::text[])
         WITH ORDINALITY AS n (turn_id, message_id, call_id, tool_name, args, class, place)
    LEFT JOIN call_states AS s ON s.message_id = n.message_id AND s.call_id = n.call_id
    ORDER BY n.place
), changed_calls AS (
    UPDATE tool_calls AS t
    SET effect = coalesce(s.effect, t.effect), started_at = coalesce(s.started_at, t.started_at),
        outcome = coalesce(s.outcome, t.outcome), ended_at = coalesce(s.ended_at, t.ended_at),
        result = coalesce(s.result::json, t.result), facts = coalesce(s.facts::json, t.facts)
    FROM call_states AS s
    WHERE t.message_id = s.message_id AND t.call_id = s.call_id
    RETURNING 1
)
SELECT count(*) FROM changed_calls";

/// The statement, with nothing bound to it.
pub(super) fn query<'q>() -> Query<'q> {
    sqlx::query_scalar(WRITE)
}

/// Declares the rows that go into one `unnest`: the fields are its columns, in its order.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? { $($column:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        pub(super) struct $name $(<$life>)? {
            $(pub(super) $column: $type,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// Binds each column of `rows` as one array.
            pub(super) fn bind<'r>(query: Query<'r>, rows: impl Iterator<Item = &'r Self> + Clone) -> Query<'r>
            where
                Self: 'r,
            {
                query$(.bind(rows.clone().map(|row| &row.$column).collect::<Vec<_>>()))*
            }
        }
    )*};
}

rows! {
    /// What the batch makes of a turn.
    TurnState {
        id: String,
        events: i64,
        input_tokens: i64,
        output_tokens: i64,
        cache_read_tokens: i64,
        cache_write_tokens: i64,
        cost: i64,
        model_calls: i64,
        tool_calls: i64,
        outcome: Option<String>,
        ended_at: Option<i64>,
    }

    /// A turn that is accepted.
    TurnRow<'a> {
        id: String,
        session_id: &'a str,
        agent_id: &'a str,
        agent_version: i64,
        rules_version: i64,
        config: String,
        rom: String,
        patterns: String,
        provider: Cow<'a, str>,
        model: Cow<'a, str>,
        trace_id: String,
        parent_span: Option<Cow<'a, str>>,
        pattern: Option<String>,
        accepted_at: i64,
    }

    /// What the batch makes of a session: how far its totals move.
    SessionState<'a> {
        id: &'a str,
        next_message: i64,
        turns: i64,
        input_tokens: i64,
        output_tokens: i64,
        cache_read_tokens: i64,
        cache_write_tokens: i64,
        cost: i64,
        context_start: Option<i64>,
        last_active: i64,
    }

    /// An event of a journal.
    EventRow {
        turn_id: String,
        seq: i64,
        at: i64,
        append_id: String,
        event: String,
    }

    /// A message.
    MessageRow<'a> {
        id: String,
        session_id: &'a str,
        turn_id: String,
        seq: i64,
        role: &'static str,
        content: String,
        beside: String,
        tokens: i64,
        cost: i64,
        created_at: i64,
    }

    /// What the batch makes of a call.
    CallState<'a> {
        message_id: String,
        call_id: Cow<'a, str>,
        effect: Option<i64>,
        started_at: Option<i64>,
        outcome: Option<String>,
        ended_at: Option<i64>,
        result: Option<String>,
        facts: Option<String>,
    }

    /// A call that the model asked for.
    CallRow<'a> {
        turn_id: String,
        message_id: String,
        call_id: Cow<'a, str>,
        tool_name: Cow<'a, str>,
        args: String,
        class: String,
    }
}
