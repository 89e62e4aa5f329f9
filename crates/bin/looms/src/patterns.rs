//! `looms pattern validate`, `lint` and `new`: pattern files, without a server.

mod lint;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use loom_cli::{FilesArgs, Format, PatternFileCommand};
use loom_embed::base::ErrorCode;
use loom_embed::patterns::{parse, scaffold};
use serde_json::json;

use crate::failure::Failure;

pub(crate) fn run(command: &PatternFileCommand, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        PatternFileCommand::Validate(files) => validate(files, format, out),
        PatternFileCommand::Lint { files, strict } => {
            let advice = if *strict { lint::OnAdvice::Fail } else { lint::OnAdvice::Tell };
            lint::lint(files, advice, format, out)
        }
        PatternFileCommand::New { name, dir } => new(name, dir, format, out),
    }
}

/// Writes a pattern to begin with; a file that is there already stays.
fn new(name: &str, dir: &Path, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let text = scaffold(name).map_err(|error| Failure::new(error.code(), error))?;
    let path = dir.join(format!("{name}.yaml"));
    let shown = path.display();
    let written = fs::create_dir_all(dir)
        .and_then(|()| fs::File::create_new(&path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{shown} is there already; choose another name or folder");
            Failure::new(ErrorCode::PatternExists, message)
        }
        _ => Failure::new(ErrorCode::PatternsReadOnly, format!("{shown} cannot be written: {error}")),
    })?;
    match format {
        Format::Json => writeln!(out, "{}", json!({ "file": path, "pattern": name }))?,
        Format::Text => writeln!(
            out,
            "wrote {shown}: change what it says, and look at it with `looms pattern lint {shown}`; a server serves it \
             from below its patterns folder"
        )?,
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(ErrorCode::InvalidPattern, format!("{} cannot be read: {error}", path.display()))
    })
}

/// Checks each file, and each YAML file of each folder; all problems are printed, and what may not be meant.
fn validate(files: &FilesArgs, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let mut patterns = 0;
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    for path in files.paths().flat_map(|path| yaml_files(path)) {
        let name = path.display().to_string();
        let text = read(&path)?;
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
