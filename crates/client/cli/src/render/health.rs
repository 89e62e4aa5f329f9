//! Whether a server works.

use std::io::{self, Write};

use loom_proto::v1::HealthStatus;

use super::amounts::{span, whole_millis};
use super::columns::{Columns, Fields};
use crate::Style;

pub(crate) fn health(health: &HealthStatus, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut fields = Fields::default();
    fields.add("status", &health.status);
    fields.add("version", &health.version);
    fields.add("up for", &span(health.uptime_seconds.saturating_mul(1_000_000)));
    fields.write(out, style)?;
    let mut table = Columns::new(["PART", "STATUS", "ANSWERED IN", "ERROR"]);
    let mut parts: Vec<_> = health.components.iter().collect();
    parts.sort_by_key(|(name, _)| *name);
    for (name, part) in parts {
        table.row([name, &part.status, &whole_millis(part.latency_ms), &part.error]);
    }
    writeln!(out)?;
    table.write(out, style, "no parts")
}
