//! Turns, and what they wait for people for. What someone has to decide about is shown whole.

use std::io::{self, Write};

use loom_proto::v1::{PendingApproval, UnfinishedTurn, UnknownEffect};

use super::amounts::{count, moment};
use super::columns::{Columns, Fields, page};
use crate::Style;

/// A page of turns that have not ended, of which `first` were left out and there are `total`.
pub(crate) fn turns(
    turns: &[UnfinishedTurn],
    first: i32,
    total: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Columns::new(["ID", "STATE", "ACCEPTED", "RECOVERIES", "SESSION", "AGENT"]);
    for turn in turns {
        let state = match (turn.quarantined, turn.queued) {
            (true, _) => "quarantined",
            (_, true) => "queued",
            _ => "unfinished",
        };
        let (accepted, recoveries) = (moment(turn.accepted_at), count(turn.recoveries.into()));
        table.row([&turn.turn_id, state, &accepted, &recoveries, &turn.session_id, &turn.agent_id]);
    }
    table.write(out, style, "no turn is unfinished")?;
    page(turns.len(), "turn", first, total, style, out)
}

/// A page of effects of which nobody has said what became of them.
pub(crate) fn effects(
    effects: &[UnknownEffect],
    first: i32,
    total: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let sheets = effects.iter().map(|effect| {
        let mut fields = Fields::default();
        fields.add("effect", &effect.effect_id);
        fields.add("tool", &effect.tool_name);
        fields.add("arguments", &effect.args_json);
        fields.add("unknown since", &moment(effect.unknown_since));
        fields.add("turn", if effect.turn_waits { "waits for an answer" } else { "is over" });
        fields.add("session", &effect.session_id);
        fields.add("agent", &effect.agent_id);
        fields
    });
    write_sheets(sheets, style, out, "no effect is unknown")?;
    page(effects.len(), "effect", first, total, style, out)
}

/// A page of approvals that are waited for.
pub(crate) fn approvals(
    approvals: &[PendingApproval],
    first: i32,
    total: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let sheets = approvals.iter().map(|approval| {
        let mut fields = Fields::default();
        fields.add("approval", &approval.approval_id);
        fields.add("tool", &approval.tool_name);
        fields.add("arguments", &approval.args_json);
        fields.add("digest", &approval.arguments_digest);
        fields.add("expires", &moment(approval.expires_at));
        fields.add("session", &approval.session_id);
        fields.add("agent", &approval.agent_id);
        fields
    });
    write_sheets(sheets, style, out, "no approval is waited for")?;
    page(approvals.len(), "approval", first, total, style, out)
}

/// Sheets with an empty line between them, or `nothing`.
fn write_sheets(
    sheets: impl ExactSizeIterator<Item = Fields>,
    style: Style,
    out: &mut dyn Write,
    nothing: &str,
) -> io::Result<()> {
    if sheets.len() == 0 {
        return writeln!(out, "{nothing}");
    }
    for (number, sheet) in sheets.enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        sheet.write(out, style)?;
    }
    Ok(())
}
