//! Records as their rows hold them, in columns of the same names on every database.

use std::time::Duration;

use loom_agent::{Amounts, Spent};
use loom_base::{CallId, Digest, TurnId};
use loom_store::{
    AgentRecord, AgentSource, BudgetUsage, CallStart, Error, Forkable, Listed, MessageRecord, NewMessage,
    NewTurn, SessionRecord, SessionTotals, SpanRecord, ToolCallRecord, TurnEnd, TurnRecord, UnfinishedTurn,
    Waiting, WaitingCall, WaitingFor,
};

use crate::{Columns, Row};

/// A session.
pub fn session(row: &impl Columns) -> Result<SessionRecord, Error> {
    let row = Row::new(row, "session", "id");
    let next_message = row.number("next_message")?;
    Ok(SessionRecord {
        id: row.parse("id")?,
        agent: row.parse("agent_id")?,
        name: row.text("name")?,
        backend: row.text("backend")?,
        principal: row.text("principal")?,
        state: row.name("state")?,
        metadata: row.json("metadata")?,
        when_busy: row.name_if_any("when_busy")?,
        created_at: row.time("created_at")?,
        last_active: row.time("last_active")?,
        totals: SessionTotals {
            turns: row.number("turns")?,
            // Messages are only added, and without gaps.
            messages: next_message,
            usage: row.usage()?,
            cost: row.money("cost")?,
            tool_calls: row.number("tool_calls")?,
            estimated_tokens: row.number("estimated_tokens")?,
            estimated_cost: row.money("estimated_cost")?,
            worked: Duration::from_micros(row.number("worked")?),
        },
        context_start: row.number("context_start")?,
        next_message,
        epoch: row.number("epoch")?,
    })
}

/// A message.
pub fn message(row: &impl Columns) -> Result<MessageRecord, Error> {
    let row = Row::new(row, "message", "id");
    Ok(MessageRecord {
        session: row.parse("session_id")?,
        turn: row.parse("turn_id")?,
        message: NewMessage {
            id: row.parse("id")?,
            seq: row.number("seq")?,
            role: row.name("role")?,
            content: row.json("content")?,
            beside: row.json("beside")?,
            tokens: row.number("tokens")?,
            cost: row.money("cost")?,
            created_at: row.time("created_at")?,
        },
    })
}

/// A message, as far as a fork has to know it.
pub fn forkable(row: &impl Columns) -> Result<Forkable, Error> {
    let row = Row::new(row, "message", "id");
    Ok(Forkable {
        message: row.parse("id")?,
        turn: row.parse("turn_id")?,
        runs: row.get::<i64>("runs")? != 0,
    })
}

/// A version of an agent's definition.
pub fn agent(row: &impl Columns) -> Result<AgentRecord, Error> {
    let row = Row::new(row, "agent", "id");
    let path = row.text_if_any("source_path")?;
    Ok(AgentRecord {
        id: row.parse("id")?,
        name: row.text("name")?,
        version: row.number("version")?,
        definition: row.json("definition")?,
        digest: row.name("digest")?,
        source: path.map_or(AgentSource::Api, |path| AgentSource::File { path }),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// A span.
pub fn span(row: &impl Columns) -> Result<SpanRecord, Error> {
    let row = Row::new(row, "span of trace", "trace_id");
    Ok(SpanRecord {
        trace: row.parse("trace_id")?,
        id: row.get::<i64>("id")?.cast_unsigned(),
        parent: row.get::<Option<i64>>("parent")?.map(i64::cast_unsigned),
        name: row.text("name")?,
        started_at: row.time("started_at")?,
        ended_at: row.time("ended_at")?,
        attributes: row.json("attributes")?,
    })
}

/// A turn.
pub fn turn(row: &impl Columns) -> Result<TurnRecord, Error> {
    let row = Row::new(row, "turn", "id");
    let accepted = NewTurn {
        agent: row.parse("agent_id")?,
        agent_version: row.number("agent_version")?,
        rules_version: row.number("rules_version")?,
        config: row.json("config")?,
        rom: row.name("rom")?,
        patterns: row.name("patterns")?,
        provider: row.text("provider")?,
        model: row.text("model")?,
        trace: row.parse("trace_id")?,
        parent_span: row.text_if_any("parent_span")?,
        pattern: row.json_if_any("pattern")?,
        accepted_at: row.time("accepted_at")?,
    };
    let end = match row.time_if_any("ended_at")? {
        Some(ended_at) => {
            let notes = row.json_if_any("notes")?.unwrap_or_default();
            Some(TurnEnd { outcome: row.json("outcome")?, ended_at, notes })
        }
        None => None,
    };
    Ok(TurnRecord {
        id: row.parse("id")?,
        session: row.parse("session_id")?,
        accepted,
        spent: spent(&row)?,
        reserved: row.json_if_any("reserved")?,
        end,
        recoveries: row.number("recoveries")?,
        stalled: row.number("stalled")?,
        queued: row.json_if_any("queued")?,
    })
}

/// What a turn has used.
pub fn spent(row: &Row<'_>) -> Result<Spent, Error> {
    Ok(Spent {
        usage: row.usage()?,
        cost: row.money("cost")?,
        model_calls: row.number("model_calls")?,
        tool_calls: row.number("tool_calls")?,
        estimated_tokens: row.number("estimated_tokens")?,
        estimated_cost: row.money("estimated_cost")?,
        worked: Duration::from_micros(row.number("worked")?),
    })
}

/// What the turns of a budget have used and hold back.
pub fn budget_usage(row: &impl Columns) -> Result<BudgetUsage, Error> {
    let row = Row::new(row, "spending", "agent_id");
    let amounts = |columns: [&str; 4]| {
        let [cost, tokens, tool_calls, time] = columns.map(|column| row.get::<i64>(column));
        let counted = |amount: i64| u64::try_from(amount).unwrap_or(0);
        Ok::<_, Error>(Amounts([counted(cost?), counted(tokens?), counted(tool_calls?), counted(time?)]))
    };
    Ok(BudgetUsage {
        used: amounts(["cost", "tokens", "tool_calls", "worked"])?,
        reserved: amounts(["reserved_cost", "reserved_tokens", "reserved_calls", "reserved_time"])?,
        estimated_tokens: row.number("estimated_tokens")?,
        estimated_cost: row.money("estimated_cost")?,
    })
}

/// A tool call.
pub fn call(row: &impl Columns) -> Result<ToolCallRecord, Error> {
    let row = Row::new(row, "tool call of message", "message_id");
    let start = match row.time_if_any("started_at")? {
        Some(at) => Some(CallStart { effect: row.number("effect")?, at }),
        None => None,
    };
    Ok(ToolCallRecord {
        message: row.parse("message_id")?,
        call: CallId::new(row.text("call_id")?),
        tool: row.text("tool_name")?,
        arguments: row.json("args")?,
        class: row.name("class")?,
        start,
        outcome: row.name_if_any("outcome")?,
        result: row.json_if_any("result")?,
        facts: row.json_if_any("facts")?.unwrap_or_default(),
        ended_at: row.time_if_any("ended_at")?,
        resolution: row.json_if_any("resolution")?,
    })
}

/// The ids of a page of turns, and how many there are in all; a page beyond the last says that there are none.
pub fn turn_ids(rows: &[impl Columns]) -> Result<Listed<TurnId>, Error> {
    let mut listed = Listed { items: Vec::with_capacity(rows.len()), total: 0 };
    for row in rows {
        let row = Row::new(row, "turn", "id");
        listed.items.push(row.parse("id")?);
        listed.total = row.number("total")?;
    }
    Ok(listed)
}

/// A turn that has not ended, with the principal of its session.
pub fn unfinished_turn(row: &impl Columns) -> Result<UnfinishedTurn, Error> {
    let row = Row::new(row, "turn", "id");
    Ok(UnfinishedTurn {
        turn: row.parse("id")?,
        session: row.parse("session_id")?,
        principal: row.text("principal")?,
        agent: row.parse("agent_id")?,
        accepted_at: row.time("accepted_at")?,
        recoveries: row.number("recoveries")?,
        stalled: row.number("stalled")?,
        is_queued: row.get::<i64>("is_queued")? != 0,
    })
}

/// A call that waits for someone, with its turn and the principal of its session.
pub fn waiting_call(row: &impl Columns, what: WaitingFor) -> Result<WaitingCall, Error> {
    let call = call(row)?;
    let row = Row::new(row, "tool call of message", "message_id");
    let waiting = match what {
        WaitingFor::Approval => Waiting::Approval {
            effect: row.number("approval")?,
            expires_at: row.time("approval_expires_at")?,
        },
        WaitingFor::Resolution => {
            Waiting::Resolution { effect: row.number("effect")?, since: row.time("unknown_since")? }
        }
    };
    Ok(WaitingCall {
        turn: row.parse("turn_id")?,
        turn_ended: row.time_if_any("turn_ended_at")?.is_some(),
        session: row.parse("session_id")?,
        principal: row.text("principal")?,
        agent: row.parse("agent_id")?,
        call,
        waiting,
    })
}

/// The turn that an idempotency key stands for, and the digest of its request.
pub fn keyed_turn(row: &impl Columns) -> Result<(TurnId, Digest), Error> {
    let row = Row::new(row, "idempotency key", "key");
    Ok((row.parse("turn_id")?, row.name("digest")?))
}
