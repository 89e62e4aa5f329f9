//! What was read of pattern files, and what changes among them.

use std::io::{self, Write};

use loom_proto::v1::{LoadPatternsResponse, PatternUpdateEvent, PatternUpdateType};

use super::amounts::moment;
use super::text::clean_line;

/// What is served from `source`, and what is wrong there.
pub(crate) fn loaded(loaded: &LoadPatternsResponse, source: &str, out: &mut dyn Write) -> io::Result<()> {
    for error in &loaded.errors {
        writeln!(out, "not used: {}", clean_line(error))?;
    }
    for (what, names) in [("changed", &loaded.changed), ("gone", &loaded.removed)] {
        if !names.is_empty() {
            writeln!(out, "{what}: {}", clean_line(&names.join(", ")))?;
        }
    }
    let patterns = if loaded.patterns_loaded == 1 { "pattern is" } else { "patterns are" };
    let place = if source.is_empty() { String::new() } else { format!(" from {}", clean_line(source)) };
    let names =
        if source.is_empty() { String::new() } else { format!(": {}", loaded.pattern_names.join(", ")) };
    let names = names.trim_end_matches([':', ' ']);
    writeln!(out, "{} {patterns} served{place}{}", loaded.patterns_loaded, clean_line(names))
}

/// One change, on one line.
pub(crate) fn update(update: &PatternUpdateEvent, out: &mut dyn Write) -> io::Result<()> {
    let what = match update.r#type() {
        PatternUpdateType::PatternCreated => "new",
        PatternUpdateType::PatternModified => "changed",
        PatternUpdateType::PatternDeleted => "gone",
        PatternUpdateType::PatternValidationFailed => "not used",
        PatternUpdateType::PatternUpdatesMissed => {
            let when = moment(update.timestamp);
            return writeln!(
                out,
                "{when}  {} changes came too fast to be told; list the patterns",
                update.missed
            );
        }
        PatternUpdateType::Unspecified => "?",
    };
    let about = if update.error.is_empty() { &update.file_path } else { &update.error };
    let (when, name) = (moment(update.timestamp), clean_line(&update.pattern_name));
    writeln!(out, "{when}  {what:<8}  {name}  {}", clean_line(about))
}
