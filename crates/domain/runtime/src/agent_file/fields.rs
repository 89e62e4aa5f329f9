//! Takes sections apart key by key, and notes what is wrong.
//!
//! No key gets lost: what a section's reader did not ask for is refused when the section ends.

use std::cell::RefCell;

use loom_base::{ErrorCode, nearest};
use loom_yaml::Position;

use super::AgentFileProblem;
use super::tree::{Entry, Node, Shape};
use super::value::Value;

/// How much of a key or value a message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// What is wrong with a file, so far.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<AgentFileProblem>>);

impl Problems {
    pub(super) fn add(&self, position: Position, code: ErrorCode, message: &str) {
        self.0.borrow_mut().push(AgentFileProblem::new(position, code, message));
    }

    /// All of them, in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<AgentFileProblem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        problems
    }
}

/// A key of the format whose feature is not in this version. It may say what is the case without the feature;
/// whatever else it says is refused.
pub(super) struct Unbuilt {
    pub(super) key: &'static str,
    cure: &'static str,
    is_the_case: IsTheCase,
}

/// What holds although a key has no meaning.
enum IsTheCase {
    /// The feature is off.
    Off,
    /// It is on.
    On,
}

impl Unbuilt {
    /// A feature that is not there.
    pub(super) const fn new(key: &'static str, cure: &'static str) -> Self {
        Self { key, cure, is_the_case: IsTheCase::Off }
    }

    /// A feature that cannot be switched off.
    pub(super) const fn always_on(key: &'static str, cure: &'static str) -> Self {
        Self { key, cure, is_the_case: IsTheCase::On }
    }

    fn admits(&self, node: &Node) -> bool {
        match self.is_the_case {
            IsTheCase::Off => says_off(node),
            IsTheCase::On => says(node, "true"),
        }
    }
}

/// Nothing, `false`, 0, an empty text, list or map, or a map of only `enabled: false`.
fn says_off(node: &Node) -> bool {
    match &node.shape {
        Shape::Null | Shape::Text { expanded: None, .. } => true,
        Shape::Text { expanded: Some(text), .. } => {
            let text = text.trim();
            text.is_empty() || text.eq_ignore_ascii_case("false") || text.parse() == Ok(0.0_f64)
        }
        Shape::List(items) => items.is_empty(),
        Shape::Map(entries) => {
            entries.iter().all(|entry| entry.key == "enabled" && says(&entry.value, "false"))
        }
    }
}

fn says(node: &Node, word: &str) -> bool {
    match &node.shape {
        Shape::Text { expanded: Some(text), .. } => text.trim().eq_ignore_ascii_case(word),
        _ => false,
    }
}

/// A map whose keys are asked for by name.
pub(super) struct Section<'a> {
    /// Where it is, with dots; empty for the file itself.
    path: String,
    /// Where it stands: its key, or the start of the file.
    pub(super) position: Position,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Reads `entries` with `read`, then refuses what it did not ask for.
    pub(super) fn read<T>(
        (path, position): (String, Position),
        entries: &'a [Entry],
        problems: &'a Problems,
        unbuilt: &[Unbuilt],
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut section = Self { path, position, entries, known: Vec::new(), problems };
        let result = read(&mut section);
        section.finish(unbuilt);
        result
    }

    /// The value of `key`; `None` when it is not given or holds nothing.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let value = Value::new(self.path_of(key), entry.position, &entry.value, self.problems);
        (!matches!(entry.value.shape, Shape::Null)).then_some(value)
    }

    /// [`Self::value`] of a key that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.value(key);
        if value.is_none() {
            let path = self.path_of(key);
            self.problems.add(
                self.position,
                ErrorCode::InvalidConfig,
                &format!("`{path}` is missing or empty"),
            );
        }
        value
    }

    /// The value of the key that goes by two names, of which only one may be given.
    pub(super) fn either(&mut self, name: &'static str, other: &'static str) -> Option<Value<'a>> {
        match (self.value(name), self.value(other)) {
            (Some(first), Some(second)) => {
                second.contradicts(&first);
                None
            }
            (first, second) => first.or(second),
        }
    }

    /// Refuses the keys that nobody asked for.
    fn finish(self, unbuilt: &[Unbuilt]) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let path = self.path_of(&quoted(&entry.key));
            let (code, message) = match unbuilt.iter().find(|unbuilt| unbuilt.key == entry.key) {
                Some(unbuilt) if unbuilt.admits(&entry.value) => continue,
                Some(unbuilt) => {
                    let message = format!("`{path}` is not supported in this version: {}", unbuilt.cure);
                    (ErrorCode::UnsupportedField, message)
                }
                None => {
                    let hint = match nearest(&entry.key, self.known.iter().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("known here: {}", self.known.join(", ")),
                    };
                    (ErrorCode::UnknownField, format!("unknown key `{path}`; {hint}"))
                }
            };
            self.problems.add(entry.position, code, &message);
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// `text` short enough for a message.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
