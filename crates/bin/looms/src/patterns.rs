//! `looms pattern validate`: checks pattern files as the server would, without one.

use std::io::Write;
use std::path::{Path, PathBuf};

use loom_cli::Format;
use loom_embed::base::ErrorCode;
use loom_embed::patterns::parse;
use serde_json::json;

use crate::failure::Failure;

/// Checks each file, and each YAML file of each folder; all problems are printed, and what may not be meant.
pub(crate) fn validate(files: &[PathBuf], format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let mut patterns = 0;
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    for path in files.iter().flat_map(|path| yaml_files(path)) {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::new(ErrorCode::InvalidPattern, format!("{name} cannot be read: {error}"))
        })?;
        match parse(&name, &text) {
            Ok(found) => {
                patterns += found.len();
                for pattern in &found {
                    notes.extend(pattern.not_executable().map(|(key, reason)| {
                        format!(
                            "{name}: template `{key}` of `{}` is only shown, not run: {reason}",
                            pattern.name
                        )
                    }));
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    match format {
        Format::Json => {
            let found = json!({ "patterns": patterns, "problems": problems, "notes": notes });
            writeln!(out, "{found}")?;
        }
        Format::Text => {
            problems.iter().chain(&notes).try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    match (problems.len(), format) {
        (0, Format::Json) => Ok(()),
        (0, Format::Text) if patterns == 1 => Ok(writeln!(out, "1 pattern is valid")?),
        (0, Format::Text) => Ok(writeln!(out, "{patterns} patterns are valid")?),
        (1, _) => Err(Failure::new(ErrorCode::InvalidPattern, "1 file cannot be used")),
        (files, _) => Err(Failure::new(ErrorCode::InvalidPattern, format!("{files} files cannot be used"))),
    }
}

fn yaml_files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() { loom_embed::yaml_files(path) } else { vec![path.to_path_buf()] }
}
