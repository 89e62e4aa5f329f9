//! What is answered about a store.

use std::io::{self, Write};

use loom_proto::v1::{DescribeStoreResponse, StorageBackendType, VerifyStoreResponse};

use super::clean_line;
use super::columns::Fields;
use crate::{StoreAnswer, Style};

pub(crate) fn answer(answer: &StoreAnswer, style: Style, out: &mut dyn Write) -> io::Result<()> {
    match answer {
        StoreAnswer::Status(answer) => status(answer, style, out),
        StoreAnswer::Verified(answer) => verified(answer, out),
        StoreAnswer::BackedUp(answer) => {
            writeln!(out, "{} has a copy of the store, {} bytes", clean_line(&answer.path), answer.bytes)
        }
        StoreAnswer::Migrated(answer) if answer.before == answer.after => {
            writeln!(out, "the schema is at migration {}, the newest", answer.after)
        }
        StoreAnswer::Migrated(answer) => {
            writeln!(out, "the schema was at migration {} and is at {}", answer.before, answer.after)
        }
        StoreAnswer::Exported(answer) => writeln!(
            out,
            "{} has all of the store: {} rows, {} bytes, digest {}",
            clean_line(&answer.path.display().to_string()),
            answer.rows,
            answer.bytes,
            clean_line(&answer.digest)
        ),
        StoreAnswer::Imported(answer) => {
            for (table, rows) in &answer.tables {
                writeln!(out, "{rows:>9} {table}")?;
            }
            writeln!(
                out,
                "all of it is stored, and is what the file says: digest {}",
                clean_line(&answer.digest)
            )
        }
        StoreAnswer::Vacuumed(answer) => {
            writeln!(out, "the store had {} bytes and has {}", answer.bytes_before, answer.bytes_after)
        }
        StoreAnswer::CleanedUp(answer) => writeln!(
            out,
            "removed {} sessions with {} turns and {} messages",
            answer.sessions, answer.turns, answer.messages
        ),
    }
}

fn status(answer: &DescribeStoreResponse, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let kind = match answer.kind() {
        StorageBackendType::Sqlite => "SQLite",
        StorageBackendType::Postgres => "PostgreSQL",
        StorageBackendType::Unspecified => "unknown",
    };
    let mut fields = Fields::default();
    fields.add("kind", kind);
    for (name, number) in [
        ("migration", answer.migration),
        ("bytes", answer.bytes),
        ("sessions", answer.sessions),
        ("turns", answer.turns),
        ("unfinished turns", answer.unfinished_turns),
        ("messages", answer.messages),
        ("unknown effects", answer.unknown_effects),
        ("pending approvals", answer.pending_approvals),
    ] {
        fields.add(name, &number.to_string());
    }
    fields.write(out, style)
}

fn verified(answer: &VerifyStoreResponse, out: &mut dyn Write) -> io::Result<()> {
    for violation in &answer.violations {
        writeln!(out, "{}: {}", clean_line(&violation.subject), clean_line(&violation.problem))?;
    }
    let listed = i64::try_from(answer.violations.len()).unwrap_or(i64::MAX);
    if answer.violation_count > listed {
        writeln!(out, "and {} more", answer.violation_count - listed)?;
    }
    writeln!(
        out,
        "looked at {} sessions, {} turns, {} events, {} messages and {} tool calls: {} wrong",
        answer.sessions,
        answer.turns,
        answer.events,
        answer.messages,
        answer.tool_calls,
        answer.violation_count
    )
}
