//! What may not stand in a text file.

use std::path::Path;

/// Lines of a Rust file before its tests.
const MAX_LINES: usize = 500;

/// Words of work left undone. Split, so that this file does not hold them.
const UNDONE: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Paths that exist on one machine only. Split for the same reason.
const MACHINE: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Everything wrong in the file `name` that holds `text`.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    if is_generated(text) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(problem) = problem_of(line) {
            found.push(format!("{name}:{}: {problem}", index + 1));
        }
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        found.push(format!("{name}: does not end with one newline"));
    }
    if Path::new(name).extension().is_some_and(|extension| extension == "rs") {
        found.extend(rust(name, text));
    }
    found
}

/// Whether a generator says so in the file's first line.
fn is_generated(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains("@generated"))
}

fn problem_of(line: &str) -> Option<String> {
    if line.ends_with([' ', '\t']) {
        return Some("blanks at the end of the line".into());
    }
    if let Some(word) = UNDONE.iter().find(|word| has_word(line, word)) {
        return Some(format!("{word}: do it, or write down why not"));
    }
    if let Some(path) = MACHINE.iter().find(|path| line.contains(*path)) {
        return Some(format!("{path} is a path of one machine"));
    }
    names_an_issue(line).then(|| "names an issue: say what it was about instead".into())
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(before) && !joins(after)
    })
}

/// Whether the line refers to an issue or a pull request by its number.
fn names_an_issue(line: &str) -> bool {
    let lower = line.to_lowercase();
    let numbered = lower.match_indices("issue ").any(|(start, word)| {
        let rest = lower[start + word.len()..].trim_start_matches('#');
        rest.starts_with(|c: char| c.is_ascii_digit())
    });
    numbered
        || lower.match_indices("(#").any(|(start, mark)| {
            let rest = &lower[start + mark.len()..];
            let digits = rest.chars().take_while(char::is_ascii_digit).count();
            digits > 0 && rest[digits..].starts_with(')')
        })
}

fn rust(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//! ") {
        found.push(format!("{name}:1: does not begin with a `//!` line that says what the module is for"));
    }
    let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
    let lines = lines_before_tests(text);
    if !is_test && lines > MAX_LINES {
        found.push(format!(
            "{name}: {lines} lines before its tests, {MAX_LINES} are the ceiling: split the story"
        ));
    }
    if name.contains("/src/") && !name.starts_with("xtask/") && text.contains("loom_testkit") {
        found.push(format!("{name}: uses testkit; only tests/it may"));
    }
    if is_second_test_binary(name) {
        found.push(format!("{name}: one integration-test binary a crate: make it a module of tests/it"));
    }
    if let Some(line) = late_std_import(text) {
        found.push(format!(
            "{name}:{line}: imports come in groups: std first, then other crates, then Loom's"
        ));
    }
    found
}

fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let is_start = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {");
    lines.windows(2).position(is_start).unwrap_or(lines.len())
}

fn is_second_test_binary(name: &str) -> bool {
    !name.contains("/src/") && name.split_once("/tests/").is_some_and(|(_, file)| !file.contains('/'))
}

/// The first `use std` that follows another crate's, in the file's opening run of imports.
fn late_std_import(text: &str) -> Option<usize> {
    let mut others = false;
    for (index, line) in text.lines().enumerate() {
        let Some(path) = line.strip_prefix("use ") else { continue };
        let std = ["std::", "core::", "alloc::"].iter().any(|root| path.starts_with(root));
        if std && others {
            return Some(index + 1);
        }
        others |= !std;
    }
    None
}
