//! Reads the value of one key as what the key means, and notes where it cannot.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use loom_base::ErrorCode;
use loom_yaml::Position;

use super::fields::{Problems, Section, Unbuilt, quoted};
use super::tree::{Node, Shape};

/// The longest name of an agent, backend, tool or pattern, in characters.
const MAX_NAME_CHARS: usize = 128;

/// A value that is there, and what its key is called.
pub(super) struct Value<'a> {
    path: String,
    pub(super) key_position: Position,
    node: &'a Node,
    problems: &'a Problems,
}

impl<'a> Value<'a> {
    /// The value `node` of the key `path`, which stands at `key_position`.
    pub(super) fn new(path: String, key_position: Position, node: &'a Node, problems: &'a Problems) -> Self {
        Self { path, key_position, node, problems }
    }

    /// The file itself.
    pub(super) fn file(root: &'a Node, problems: &'a Problems) -> Self {
        Self::new(String::new(), root.position, root, problems)
    }

    /// Notes that the value cannot be used. `reason` goes on from the key: "is not a number".
    pub(super) fn invalid(&self, reason: impl Display) {
        self.problem(self.node, ErrorCode::InvalidConfig, &format!("`{}` {reason}", self.path));
    }

    /// Notes that the key asks for something that is not in this version.
    pub(super) fn unsupported(&self, cure: &str) {
        let message = format!("`{}` is not supported in this version: {cure}", self.path);
        self.problem(self.node, ErrorCode::UnsupportedField, &message);
    }

    /// Notes that this key says again, or otherwise, what `other` says.
    pub(super) fn contradicts(&self, other: &Self) {
        let message = format!("`{}` and `{}` say the same thing; keep one", other.path, self.path);
        self.problems.add(self.key_position, ErrorCode::InvalidConfig, &message);
    }

    /// Reads a map with `read`, then refuses what it did not ask for.
    pub(super) fn section<T>(
        &self,
        unbuilt: &[Unbuilt],
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Option<T> {
        let Shape::Map(entries) = &self.node.shape else {
            self.shape("a section (`key: value` lines)");
            return None;
        };
        let place = (self.path.clone(), self.key_position);
        Some(Section::read(place, entries, self.problems, unbuilt, read))
    }

    /// A list of sections, each read with `read`.
    pub(super) fn sections<T>(&self, read: impl Fn(&mut Section<'a>) -> T) -> Option<Vec<T>> {
        let items = self.items("a list of sections (`- key: value` lines)")?.iter().enumerate();
        let read_one = |(index, node): (usize, &'a Node)| {
            let path = format!("{}[{index}]", self.path);
            Value::new(path, node.position, node, self.problems).section(&[], &read)
        };
        Some(items.filter_map(read_one).collect())
    }

    /// Whether it is one value, neither list nor section.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.shape, Shape::Text { .. })
    }

    /// Whether it is a map.
    pub(super) fn is_section(&self) -> bool {
        matches!(self.node.shape, Shape::Map(_))
    }

    /// A text, which may be empty.
    pub(super) fn text(&self) -> Option<String> {
        self.scalar(self.node).map(|(_, text)| text.to_owned())
    }

    /// A text that says something; an empty one counts as not given, so that `${VAR:-}` can leave a key out.
    pub(super) fn given_text(&self) -> Option<String> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    /// A name.
    pub(super) fn name(&self) -> Option<String> {
        self.name_at(self.node)
    }

    /// A list of names, each once.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for item in self.items("a list of names (`- name`)")? {
            let Some(name) = self.name_at(item) else { continue };
            if names.contains(&name) {
                let message = format!("`{}` has this name twice", self.path);
                self.problem(item, ErrorCode::InvalidConfig, &message);
            }
            names.push(name);
        }
        Some(names)
    }

    /// A list of texts, none of them empty.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for item in self.items("a list of texts (`- text`)")? {
            match self.scalar(item) {
                Some((_, "")) => {
                    let message = format!("`{}` has an empty text", self.path);
                    self.problem(item, ErrorCode::InvalidConfig, &message);
                }
                Some((_, text)) => texts.push(text.to_owned()),
                None => {}
            }
        }
        Some(texts)
    }

    /// A map of texts with keys of the author's own.
    pub(super) fn free_map(&self) -> Option<BTreeMap<String, String>> {
        let Shape::Map(entries) = &self.node.shape else {
            self.shape("a section (`key: value` lines)");
            return None;
        };
        let mut map = BTreeMap::new();
        for entry in entries {
            let text = match entry.value.shape {
                Shape::Null => Some(""),
                _ => self.scalar(&entry.value).map(|(_, text)| text),
            };
            map.extend(text.map(|text| (entry.key.clone(), text.to_owned())));
        }
        Some(map)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let (written, text) = self.scalar(self.node)?;
        let text = text.trim();
        match (text.eq_ignore_ascii_case("true"), text.eq_ignore_ascii_case("false")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => {
                self.invalid(format_args!("is `{}`, which is neither true nor false", quoted(written)));
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn count(&self, range: &RangeInclusive<u32>) -> Option<u32> {
        self.within(range, "whole number")
    }

    /// A number within `range`.
    pub(super) fn number<T: FromStr + PartialOrd + Display>(&self, range: &RangeInclusive<T>) -> Option<T> {
        self.within(range, "number")
    }

    fn within<T: FromStr + PartialOrd + Display>(&self, range: &RangeInclusive<T>, kind: &str) -> Option<T> {
        let (written, text) = self.scalar(self.node)?;
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let written = quoted(written);
            self.invalid(format_args!("is `{written}`, which is not a {kind} from {least} to {most}"));
        }
        number
    }

    fn items(&self, kind: &str) -> Option<&'a [Node]> {
        let Shape::List(items) = &self.node.shape else {
            self.shape(kind);
            return None;
        };
        Some(items)
    }

    fn name_at(&self, node: &Node) -> Option<String> {
        let (written, text) = self.scalar(node)?;
        let name = text.trim();
        let chars = name.chars().count();
        if (1..=MAX_NAME_CHARS).contains(&chars) && !name.contains(char::is_control) {
            return Some(name.to_owned());
        }
        let message = format!(
            "`{}`: a name has 1 to {MAX_NAME_CHARS} characters and no control characters; found `{}`",
            self.path,
            quoted(written)
        );
        self.problem(node, ErrorCode::InvalidConfig, &message);
        None
    }

    /// A scalar as written and as expanded.
    fn scalar<'n>(&self, node: &'n Node) -> Option<(&'n str, &'n str)> {
        match &node.shape {
            Shape::Text { written, expanded } => {
                expanded.as_deref().map(|expanded| (written.as_str(), expanded))
            }
            Shape::Null | Shape::List(_) | Shape::Map(_) => {
                self.shape_at(node, "one value");
                None
            }
        }
    }

    fn shape(&self, expected: &str) {
        self.shape_at(self.node, expected);
    }

    fn shape_at(&self, node: &Node, expected: &str) {
        let found = match &node.shape {
            Shape::Null => "nothing",
            Shape::Text { .. } => "one value",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a section",
        };
        let title = if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) };
        self.problem(node, ErrorCode::InvalidYaml, &format!("{title}: expected {expected}, found {found}"));
    }

    fn problem(&self, node: &Node, code: ErrorCode, message: &str) {
        let position = if node.position.line == 0 { self.key_position } else { node.position };
        self.problems.add(position, code, message);
    }
}
