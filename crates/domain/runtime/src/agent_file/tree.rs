//! YAML as a tree in which every node knows its place.
//!
//! Scalars keep the text they were written with (`4.10` stays `4.10`): what type they have is for the key to say.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use loom_base::ErrorCode;
use loom_patterns::yaml::Position;

use super::fields::Problems;

/// How deeply a file may nest: the deepest key is four levels down, and refused blocks go deeper.
const MAX_DEPTH: usize = 32;
/// How many nodes a file may have.
const MAX_NODES: usize = 100_000;

/// A value and where it starts.
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) shape: Shape,
}

/// A value.
pub(super) enum Shape {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar of any type.
    Text {
        /// As it stands in the file, for messages.
        written: String,
        /// With variables replaced; `None` when that failed, which has been reported.
        expanded: Option<String>,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its place, and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

impl Node {
    /// Reads one YAML document; `None` when it is not one, which is reported.
    pub(super) fn parse(
        text: &str,
        expand: &dyn Fn(&str) -> Result<String, String>,
        problems: &Problems,
    ) -> Option<Self> {
        let source = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
            strict_booleans: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Read>(source, options) {
            Ok(read) => Some(Finish { source, expand, problems }.node(read)),
            Err(error) => {
                let position = error.location().map(Position::from).unwrap_or_default();
                let message = UserMessageFormatter.format_message(error.without_snippet());
                let first_line = message.lines().next().unwrap_or_default();
                problems.add(position, ErrorCode::InvalidYaml, first_line);
                None
            }
        }
    }
}

/// Gives plain scalars back the text they were written with, and expands variables.
struct Finish<'a> {
    source: &'a str,
    expand: &'a dyn Fn(&str) -> Result<String, String>,
    problems: &'a Problems,
}

impl Finish<'_> {
    fn node(&self, read: Read) -> Node {
        let position = Position::from(read.0.referenced);
        let span = read.0.defined.span();
        let written = || {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
            self.source.get(start..end).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let shape = match read.0.value {
            ReadShape::Null => Shape::Null,
            ReadShape::Text(text) => self.scalar(position, text),
            ReadShape::Typed(parsed) => self.scalar(position, written().unwrap_or(parsed)),
            ReadShape::List(items) => Shape::List(items.into_iter().map(|item| self.node(item)).collect()),
            ReadShape::Map(entries) => {
                let entry = |(key, value): (Spanned<String>, Read)| {
                    let position = Position::from(key.referenced);
                    Entry { key: key.value, position, value: self.node(value) }
                };
                Shape::Map(entries.into_iter().map(entry).collect())
            }
        };
        Node { position, shape }
    }

    fn scalar(&self, position: Position, written: String) -> Shape {
        let expanded = (self.expand)(&written)
            .map_err(|reason| self.problems.add(position, ErrorCode::InvalidConfig, &reason))
            .ok();
        Shape::Text { written, expanded }
    }
}

/// A node as the parser hands it over.
struct Read(Spanned<ReadShape>);

enum ReadShape {
    Null,
    Text(String),
    /// A scalar that the parser took for a number or a truth value, printed again.
    Typed(String),
    List(Vec<Read>),
    Map(Vec<(Spanned<String>, Read)>),
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for ReadShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = ReadShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<ReadShape, E> {
        Ok(ReadShape::Null)
    }

    fn visit_none<E>(self) -> Result<ReadShape, E> {
        Ok(ReadShape::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ReadShape, E> {
        Ok(ReadShape::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<ReadShape, E> {
        Ok(ReadShape::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ReadShape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(ReadShape::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReadShape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(ReadShape::Map(entries))
    }
}
