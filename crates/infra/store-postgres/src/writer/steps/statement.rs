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
                         $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::text[])
    AS s (id, events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, model_calls, tool_calls,
          outcome, ended_at, notes)
), turn_ledgers AS (
    SELECT * FROM unnest($77::text[], $78::bigint[], $79::bigint[], $80::bigint[], $81::text[])
    AS l (id, estimated_tokens, estimated_cost, worked, reserved)
), waiting_turns AS (
    SELECT * FROM unnest($87::text[], $88::text[]) AS q (id, queued)
), added_turns AS (
    INSERT INTO turns (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model,
                       trace_id, parent_span, pattern, accepted_at,
                       events, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, model_calls,
                       tool_calls, outcome, ended_at, notes, estimated_tokens, estimated_cost, worked, reserved, queued)
    SELECT n.id, n.session_id, n.agent_id, n.agent_version, n.rules_version, n.config::json, n.rom, n.patterns,
           n.provider, n.model, n.trace_id, n.parent_span, n.pattern::json, n.accepted_at,
           s.events, s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cost, s.model_calls,
           s.tool_calls, s.outcome::json, s.ended_at, s.notes::json, l.estimated_tokens, l.estimated_cost, l.worked,
           l.reserved::json, q.queued::json
    FROM unnest($13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[], $18::text[], $19::text[],
                $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::bigint[])
         AS n (id, session_id, agent_id, agent_version, rules_version, config, rom, patterns, provider, model, trace_id,
               parent_span, pattern, accepted_at)
    JOIN turn_states AS s ON s.id = n.id
    JOIN turn_ledgers AS l ON l.id = n.id
    LEFT JOIN waiting_turns AS q ON q.id = n.id
), changed_turns AS (
    UPDATE turns AS t
    SET events = s.events, input_tokens = s.input_tokens, output_tokens = s.output_tokens,
        cache_read_tokens = s.cache_read_tokens, cache_write_tokens = s.cache_write_tokens, cost = s.cost,
        model_calls = s.model_calls, tool_calls = s.tool_calls, outcome = coalesce(s.outcome::json, t.outcome),
        ended_at = coalesce(s.ended_at, t.ended_at), notes = coalesce(s.notes::json, t.notes), stalled = 0,
        estimated_tokens = l.estimated_tokens, estimated_cost = l.estimated_cost, worked = l.worked,
        reserved = l.reserved::json, queued = NULL
    FROM turn_states AS s JOIN turn_ledgers AS l ON l.id = s.id
    WHERE t.id = s.id
), changed_sessions AS (
    UPDATE sessions AS t
    SET next_message = s.next_message, turns = t.turns + s.turns, input_tokens = t.input_tokens + s.input_tokens,
        output_tokens = t.output_tokens + s.output_tokens,
        cache_read_tokens = t.cache_read_tokens + s.cache_read_tokens,
        cache_write_tokens = t.cache_write_tokens + s.cache_write_tokens, cost = t.cost + s.cost,
        context_start = coalesce(s.context_start, t.context_start),
        last_active = greatest(t.last_active, s.last_active), tool_calls = t.tool_calls + l.tool_calls,
        estimated_tokens = t.estimated_tokens + l.estimated_tokens,
        estimated_cost = t.estimated_cost + l.estimated_cost, worked = t.worked + l.worked
    FROM unnest($27::text[], $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[],
                $34::bigint[], $35::bigint[], $36::bigint[])
         AS s (id, next_message, turns, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost,
               context_start, last_active)
    JOIN unnest($82::text[], $83::bigint[], $84::bigint[], $85::bigint[], $86::bigint[])
         AS l (id, tool_calls, estimated_tokens, estimated_cost, worked) ON l.id = s.id
    WHERE t.id = s.id
), added_events AS (
    INSERT INTO turn_events (turn_id, seq, at, append_id, event)
    SELECT turn_id, seq, at, append_id, event::json
    FROM unnest($37::text[], $38::bigint[], $39::bigint[], $40::text[], $41::text[])
         AS n (turn_id, seq, at, append_id, event)
), added_keys AS (
    INSERT INTO idempotency_keys (principal, method, key, digest, turn_id, created_at)
    SELECT * FROM unnest($42::text[], $43::text[], $44::text[], $45::text[], $46::text[], $47::bigint[])
), added_messages AS (
    INSERT INTO messages (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at)
    SELECT id, session_id, turn_id, seq, role, content::json, beside::json, tokens, cost, created_at
    FROM unnest($48::text[], $49::text[], $50::text[], $51::bigint[], $52::text[], $53::text[], $54::text[],
                $55::bigint[], $56::bigint[], $57::bigint[])
         WITH ORDINALITY AS n (id, session_id, turn_id, seq, role, content, beside, tokens, cost, created_at, place)
    ORDER BY place
), call_states AS (
    SELECT * FROM unnest($58::text[], $59::text[], $60::bigint[], $61::bigint[], $62::text[], $63::bigint[],
                         $64::text[], $65::text[], $66::bigint[], $67::bigint[], $68::text[], $69::bigint[], $70::text[])
    AS s (message_id, call_id, effect, started_at, outcome, ended_at, result, facts, approval, approval_expires_at,
          approval_answer, unknown_since, resolution)
), added_calls AS (
    INSERT INTO tool_calls (turn_id, message_id, call_id, tool_name, args, class, effect, started_at, outcome, ended_at,
                            result, facts, approval, approval_expires_at, approval_answer, unknown_since, resolution)
    SELECT n.turn_id, n.message_id, n.call_id, n.tool_name, n.args::json, n.class, s.effect, s.started_at, s.outcome,
           s.ended_at, s.result::json, s.facts::json, s.approval, s.approval_expires_at, s.approval_answer::json,
           coalesce(s.unknown_since, CASE WHEN s.outcome = 'unknown' THEN s.ended_at END), s.resolution::json
    FROM unnest($71::text[], $72::text[], $73::text[], $74::text[], $75::text[], $76::text[])
         WITH ORDINALITY AS n (turn_id, message_id, call_id, tool_name, args, class, place)
    LEFT JOIN call_states AS s ON s.message_id = n.message_id AND s.call_id = n.call_id
    ORDER BY n.place
), changed_calls AS (
    UPDATE tool_calls AS t
    SET effect = coalesce(s.effect, t.effect), started_at = coalesce(s.started_at, t.started_at),
        outcome = coalesce(s.outcome, t.outcome), ended_at = coalesce(s.ended_at, t.ended_at),
        result = coalesce(s.result::json, t.result), facts = coalesce(s.facts::json, t.facts),
        approval = coalesce(s.approval, t.approval),
        approval_expires_at = coalesce(s.approval_expires_at, t.approval_expires_at),
        approval_answer = coalesce(s.approval_answer::json, CASE WHEN s.approval IS NULL THEN t.approval_answer END),
        unknown_since = coalesce(s.unknown_since, t.unknown_since, CASE WHEN s.outcome = 'unknown' THEN s.ended_at END),
        resolution = coalesce(s.resolution::json, CASE WHEN s.unknown_since IS NULL THEN t.resolution END)
    FROM call_states AS s
    WHERE t.message_id = s.message_id AND t.call_id = s.call_id
    RETURNING 1
)
SELECT count(*) FROM changed_calls";

/// What a turn that has waited is run by. The statement above does the rest.
pub(super) const BEGIN: &str = "
UPDATE turns
SET agent_version = $2, rules_version = $3, config = $4::json, rom = $5, patterns = $6, provider = $7, model = $8,
    pattern = $9::json, accepted_at = $10
WHERE id = $1";

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
        notes: Option<String>,
    }

    /// What the batch makes of what budgets count of a turn.
    TurnLedger {
        id: String,
        estimated_tokens: i64,
        estimated_cost: i64,
        worked: i64,
        reserved: Option<String>,
    }

    /// How far what budgets count of a session moves.
    SessionLedger<'a> {
        id: &'a str,
        tool_calls: i64,
        estimated_tokens: i64,
        estimated_cost: i64,
        worked: i64,
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

    /// What was asked of a turn that waits.
    WaitingTurn {
        id: String,
        queued: String,
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
        last_active: Option<i64>,
    }

    /// An event of a journal.
    EventRow {
        turn_id: String,
        seq: i64,
        at: i64,
        append_id: String,
        event: String,
    }

    /// A key that a turn was asked for under.
    KeyRow<'a> {
        principal: Cow<'a, str>,
        method: Cow<'a, str>,
        key: Cow<'a, str>,
        digest: String,
        turn_id: String,
        created_at: i64,
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
        approval: Option<i64>,
        approval_expires_at: Option<i64>,
        approval_answer: Option<String>,
        unknown_since: Option<i64>,
        resolution: Option<String>,
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
