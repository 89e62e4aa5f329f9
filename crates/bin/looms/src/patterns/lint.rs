//! `looms pattern lint`: advice on valid files, compared with each other and with the built-in patterns.

use std::collections::BTreeSet;
use std::io::Write;

use loom_cli::{FilesArgs, Format};
use loom_embed::base::ErrorCode;
use loom_embed::built_in_patterns;
use loom_embed::patterns::{Advice, Change, FileText, Layer, Registry, Source as _, lint as advice_on};
use serde_json::json;

use super::{read, yaml_files};
use crate::failure::Failure;

/// What advice means to the shell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnAdvice {
    Tell,
    Fail,
}

pub(super) fn lint(
    files: &FilesArgs,
    on_advice: OnAdvice,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let registry = Registry::default();
    registry.apply(built_in_patterns().iter().map(|(file, text)| Change::built_in(file, text)));
    let mut read_files = Vec::new();
    for path in files.paths().flat_map(|path| yaml_files(path)) {
        read_files.push((path.display().to_string(), read(&path)?));
    }
    let changes = read_files.iter().map(|(file, text)| Change {
        layer: Layer::Folder,
        file: file.as_str().into(),
        text: FileText::Is(text.as_str().into()),
    });
    let report = registry.apply(changes);
    let paths: Vec<_> = read_files.iter().map(|(file, _)| file.as_str().into()).collect();
    let names: BTreeSet<_> =
        registry.patterns_of(&paths).iter().map(|pattern| pattern.name.clone()).collect();
    let advice = advice_on(&registry.snapshot(), &names);
    let line_of = |advice: &Advice| {
        let text = read_files.iter().find(|(file, _)| **file == *advice.file).map(|(_, text)| text.as_str());
        line(text.unwrap_or_default(), &advice.pattern, advice.key)
    };
    match format {
        Format::Json => {
            let problems: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
            let advice: Vec<_> = advice
                .iter()
                .map(|advice| {
                    json!({ "file": &*advice.file, "line": line_of(advice), "pattern": advice.pattern,
                            "rule": advice.rule, "message": advice.message })
                })
                .collect();
            writeln!(out, "{}", json!({ "patterns": names.len(), "problems": problems, "advice": advice }))?;
        }
        Format::Text => {
            report.errors.iter().try_for_each(|error| writeln!(out, "{error}"))?;
            for advice in &advice {
                let Advice { file, pattern, rule, message, .. } = advice;
                writeln!(out, "{file}:{}: {pattern}: {message} [{rule}]", line_of(advice))?;
            }
        }
    }
    if !report.errors.is_empty() {
        return Err(Failure::new(ErrorCode::InvalidPattern, "not all files can be used"));
    }
    if on_advice == OnAdvice::Fail && !advice.is_empty() {
        return Err(Failure::new(ErrorCode::InvalidPattern, format!("{} pieces of advice", advice.len())));
    }
    if format == Format::Text && advice.is_empty() {
        let patterns = if names.len() == 1 { "pattern" } else { "patterns" };
        writeln!(out, "nothing to say about {} {patterns}", names.len())?;
    }
    Ok(())
}

/// The line of `key` in the part of `text` that is about `pattern`; that of the pattern's name when it has no such key.
fn line(text: &str, pattern: &str, key: &str) -> usize {
    let is_key = |line: &str, key: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
    };
    let is_name = |line: &&str| is_key(line, "name") && line.contains(pattern);
    let begin = text.lines().position(|line| is_name(&line)).unwrap_or(0);
    // In a file of one pattern keys may stand before the name.
    let own = text.lines().enumerate().skip(begin).find(|(_, line)| is_key(line, key));
    let any = || text.lines().enumerate().find(|(_, line)| is_key(line, key));
    own.or_else(any).map_or(begin, |(number, _)| number) + 1
}
