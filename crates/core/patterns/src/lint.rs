//! Advice on patterns that are valid: what would make them easier to find, safer to run, or clearer.

mod likeness;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::template::FROM;
use crate::{KEY_SUFFIX, NotExecutable, Pattern, Piece, Snapshot, Template};

/// How many questions a pattern should know at least.
const MIN_INTENTS: usize = 3;

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advice {
    /// The file, below the patterns folder.
    pub file: Arc<str>,
    /// The pattern.
    pub pattern: String,
    /// The rule, a name that stays.
    pub rule: &'static str,
    /// The key that it is about, as it stands in the file.
    pub key: &'static str,
    /// What is to be done, and why.
    pub message: String,
}

/// What could be better about those of `patterns` that are among `names`, by file.
pub fn lint(patterns: &Snapshot, names: &BTreeSet<String>) -> Vec<Advice> {
    let meant: Vec<_> = patterns.iter().filter(|pattern| names.contains(&pattern.name)).collect();
    let mut all = Vec::new();
    for pattern in meant {
        let mut notes = Notes { pattern, all: &mut all };
        texts(pattern, &mut notes);
        // Rules to read have neither parameters nor examples to check.
        if pattern.rule.is_none() && pattern.library.is_none() {
            parameters(pattern, &mut notes);
            templates(pattern, &mut notes);
            examples(pattern, &mut notes);
        }
        for related in pattern.related_patterns.iter().filter(|name| patterns.get(name).is_none()) {
            notes.add("unknown-related", "related_patterns", format!("no pattern is called `{related}`"));
        }
        likeness::check(pattern, patterns, &mut notes);
    }
    all.sort();
    all
}

/// Where advice on one pattern is kept.
struct Notes<'a> {
    pattern: &'a Pattern,
    all: &'a mut Vec<Advice>,
}

impl Notes<'_> {
    fn add(&mut self, rule: &'static str, key: &'static str, message: impl Into<String>) {
        let Pattern { file, name, .. } = self.pattern;
        let message = message.into();
        self.all.push(Advice { file: Arc::clone(file), pattern: name.clone(), rule, key, message });
    }
}

fn texts(pattern: &Pattern, notes: &mut Notes<'_>) {
    if pattern.title.is_empty() && pattern.library.is_none() {
        notes.add("no-title", "name", "give it a `title`, the name that people read");
    }
    if pattern.description.is_empty() {
        notes.add(
            "no-description",
            "name",
            "give it a `description`: the search reads it, and so does the model",
        );
    }
    let intents = pattern.intents.len();
    if intents < MIN_INTENTS {
        let message = format!(
            "it knows {intents} questions; write at least {MIN_INTENTS} `intents` as people would ask, or it is hardly found"
        );
        notes.add("few-intents", "intents", message);
    }
    if pattern.use_cases.is_empty() && pattern.library.is_none() {
        notes.add("no-use-cases", "name", "say by `use_cases` in which situations it helps");
    }
    if pattern.tags.is_empty() {
        notes.add("no-tags", "name", "give it `tags`: words that people use and its other texts do not");
    }
}

fn parameters(pattern: &Pattern, notes: &mut Notes<'_>) {
    for parameter in &pattern.parameters {
        let name = &parameter.name;
        if parameter.description.is_empty() {
            notes.add(
                "no-parameter-description",
                "parameters",
                format!("say what the parameter `{name}` is for"),
            );
        }
        if parameter.required && parameter.default.is_some() {
            let message =
                format!("the parameter `{name}` is required and has a default; keep one of the two");
            notes.add("required-with-default", "parameters", message);
        }
        let is_used =
            |template: &Template| placeholders(template).any(|placeholder| refers_to(placeholder, name));
        if !pattern.templates.is_empty() && !pattern.templates.values().any(is_used) {
            notes.add("unused-parameter", "parameters", format!("no template uses the parameter `{name}`"));
        }
    }
}

fn templates(pattern: &Pattern, notes: &mut Notes<'_>) {
    for (key, template) in &pattern.templates {
        match template.executable() {
            Ok(_) => {
                let words = words(&template.content);
                if words.contains("LIMIT") && !has_order(&template.content) {
                    let message =
                        format!("template `{key}` has LIMIT without ORDER BY: which rows it gives is chance");
                    notes.add("unordered-limit", "templates", message);
                }
                if template.content.contains("SELECT *") {
                    let message =
                        format!("template `{key}` selects `*`: name the columns, so that results stay small");
                    notes.add("select-all", "templates", message);
                }
            }
            Err(NotExecutable::Key | NotExecutable::NotAQuery) => {}
            Err(reason) => {
                notes.add(
                    "not-executable",
                    "templates",
                    format!("template `{key}` is only shown, not run: {reason}"),
                );
            }
        }
    }
}

fn examples(pattern: &Pattern, notes: &mut Notes<'_>) {
    if pattern.examples.is_empty() {
        notes.add(
            "no-example",
            "name",
            "show a worked example: `examples` with the parameters and what comes out",
        );
    }
    for (number, example) in pattern.examples.iter().enumerate() {
        let shown = if example.name.is_empty() {
            format!("example {}", number + 1)
        } else {
            format!("example `{}`", example.name)
        };
        for given in example.parameters.keys().filter(|given| pattern.parameter(given).is_none()) {
            notes.add(
                "unknown-example-parameter",
                "examples",
                format!("{shown} gives `{given}`, which is no parameter"),
            );
        }
        if example.expected_result.is_empty() {
            notes.add(
                "no-expected-result",
                "examples",
                format!("say by `expected_result` what comes out of {shown}"),
            );
        }
    }
    for (key, template) in pattern.templates.iter().filter(|(_, template)| template.executable().is_ok()) {
        let fills = |example: &crate::Example| {
            placeholders(template).all(|name| {
                let parameter = pattern.parameters.iter().find(|parameter| refers_to(name, &parameter.name));
                parameter.is_none_or(|parameter| {
                    parameter.default.is_some() || example.parameters.contains_key(&parameter.name)
                })
            })
        };
        if !pattern.examples.is_empty() && !pattern.examples.iter().any(fills) {
            notes.add(
                "untested-template",
                "examples",
                format!("no example has all that template `{key}` needs"),
            );
        }
    }
}

fn placeholders(template: &Template) -> impl Iterator<Item = &str> {
    template.pieces().iter().filter_map(|piece| match piece {
        Piece::Placeholder(name) if name != FROM => Some(name.as_str()),
        Piece::Placeholder(_) | Piece::Literal(_) => None,
    })
}

fn refers_to(placeholder: &str, parameter: &str) -> bool {
    placeholder == parameter || placeholder.strip_suffix(KEY_SUFFIX) == Some(parameter)
}

fn words(sql: &str) -> BTreeSet<String> {
    sql.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_ascii_uppercase).collect()
}

fn has_order(sql: &str) -> bool {
    let upper = sql.to_ascii_uppercase();
    upper.split_whitespace().collect::<Vec<_>>().windows(2).any(|pair| pair == ["ORDER", "BY"])
}

#[cfg(test)]
mod tests;
