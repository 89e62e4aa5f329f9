//! Sessions and their messages.

use std::io::{self, Write};

use loom_proto::v1::{ConversationHistory, Message, Session, ToolCall, WhenBusy};

use super::amounts::{count, dollars, moment, whole_millis};
use super::columns::{Columns, Fields, page};
use super::text::{Tone, clean, clean_line, shorten};
use crate::Style;

/// The widest line of a tool call.
const MAX_CALL: usize = 160;

/// A page of sessions, of which `first` were left out and there are `total`.
pub(crate) fn sessions(
    sessions: &[Session],
    first: i32,
    total: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Columns::new(["ID", "AGENT", "TURNS", "COST", "LAST USED", "NAME"]);
    for session in sessions {
        let (turns, cost) = (count(session.conversation_count.into()), dollars(session.total_cost_usd));
        let used = moment(session.updated_at);
        table.row([&session.id, agent_of(session), &turns, &cost, &used, &session.name]);
    }
    table.write(out, style, "no sessions")?;
    page(sessions.len(), "session", first, total, style, out)
}

/// A session and a part of its messages, of which `first` were left out.
pub(crate) fn session(
    session: &Session,
    history: &ConversationHistory,
    first: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut fields = Fields::default();
    fields.add("id", &session.id);
    fields.add("name", &session.name);
    fields.add("agent", agent_of(session));
    fields.add("state", &session.state);
    match session.when_busy() {
        WhenBusy::Unspecified => {}
        WhenBusy::Queue => fields.add("when busy", "queue"),
        WhenBusy::Interrupt => fields.add("when busy", "interrupt"),
        WhenBusy::Reject => fields.add("when busy", "reject"),
    }
    fields.add("turns", &count(session.conversation_count.into()));
    fields.add("cost", &dollars(session.total_cost_usd));
    fields.add("created", &moment(session.created_at));
    fields.add("last used", &moment(session.updated_at));
    fields.write(out, style)?;
    history.messages.iter().try_for_each(|one| message(one, style, out))?;
    page(history.messages.len(), "message", first, history.total_count, style, out)
}

fn agent_of(session: &Session) -> &str {
    if session.agent_name.is_empty() { &session.agent_id } else { &session.agent_name }
}

fn message(message: &Message, style: Style, out: &mut dyn Write) -> io::Result<()> {
    // The results stand below the calls already.
    if message.role == "tool" {
        return Ok(());
    }
    let head = format!("{} · {}", clean_line(&message.role), moment(message.timestamp));
    writeln!(out, "\n{}", style.paint(Tone::Strong, &head))?;
    let content = clean(&message.content);
    if !content.trim().is_empty() {
        writeln!(out, "{}", content.trim_end())?;
    }
    message.tool_calls.iter().try_for_each(|call| tool_call(call, style, out))
}

fn tool_call(call: &ToolCall, style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", shorten(&format!("→ {} {}", call.name, call.args_json), MAX_CALL))?;
    let took = whole_millis(call.duration_ms);
    let (tone, text) = if call.success {
        (Tone::Good, format!("✓ {} in {took}", shorten(&call.result_json, MAX_CALL)))
    } else {
        (Tone::Bad, format!("✗ {} after {took}", shorten(&call.error, MAX_CALL)))
    };
    writeln!(out, "{}", style.paint(tone, &text))
}
