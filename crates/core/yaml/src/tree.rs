//! YAML as a tree in which every node knows its line and column.
//!
//! Scalars keep the text they were written with (`4.10` stays `4.10`): what type they have is for the key to say.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use crate::Position;

/// How deeply a file may nest; no format of ours comes near it.
const MAX_DEPTH: usize = 32;
/// How many nodes a file may have.
const MAX_NODES: usize = 100_000;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it starts; for an alias, where that stands.
    pub position: Position,
    /// The value.
    pub shape: Shape,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar of any type, as written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its place, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// Its value.
    pub value: Node,
}

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", position.line, position.column)]
pub struct SyntaxError {
    /// Where.
    pub position: Position,
    /// What is wrong, in one line that repeats nothing of the text.
    pub message: String,
}

impl Node {
    /// A scalar from outside a file.
    pub fn text(text: impl Into<String>) -> Self {
        Self { position: Position::default(), shape: Shape::Text(text.into()) }
    }

    /// Reads one YAML document.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let source = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
            strict_booleans: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Read>(source, options) {
            Ok(read) => Ok(read.finish(source)),
            Err(error) => Err(syntax_error(&error)),
        }
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let position = error.location().map(Position::from).unwrap_or_default();
    let message = UserMessageFormatter.format_message(error.without_snippet());
    SyntaxError { position, message: message.lines().next().unwrap_or_default().to_owned() }
}

/// A node as the parser hands it over, before plain scalars get back the text they were written with.
struct Read(Spanned<ReadShape>);

enum ReadShape {
    Null,
    Quoted(String),
    Plain(String),
    List(Vec<Read>),
    Map(Vec<(Spanned<String>, Read)>),
}

impl Read {
    fn finish(self, source: &str) -> Node {
        let position = Position::from(self.0.referenced);
        let written = || {
            let span = self.0.defined.span();
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
            source.get(start..end).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let shape = match self.0.value {
            ReadShape::Null => Shape::Null,
            ReadShape::Quoted(text) => Shape::Text(text),
            ReadShape::Plain(parsed) => Shape::Text(written().unwrap_or(parsed)),
            ReadShape::List(items) => {
                Shape::List(items.into_iter().map(|item| item.finish(source)).collect())
            }
            ReadShape::Map(entries) => {
                let entry = |(key, value): (Spanned<String>, Read)| {
                    let position = Position::from(key.referenced);
                    Entry { key: key.value, position, value: value.finish(source) }
                };
                Shape::Map(entries.into_iter().map(entry).collect())
            }
        };
        Node { position, shape }
    }
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
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ReadShape, E> {
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ReadShape, E> {
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<ReadShape, E> {
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<ReadShape, E> {
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ReadShape, E> {
        Ok(ReadShape::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<ReadShape, E> {
        Ok(ReadShape::Quoted(value.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(node: &'a Node, key: &str) -> &'a Entry {
        let Shape::Map(entries) = &node.shape else { panic!("not a map") };
        entries.iter().find(|entry| entry.key == key).unwrap()
    }

    #[test]
    fn keys_and_values_know_their_places_and_scalars_their_text() {
        let root = Node::parse(
            "# c\nserver:\n  grpc_port: 60051\n  model: 4.10\n  note: 'a b'\n  on: yes\n  list: [1, é, x]\n",
        )
        .unwrap();
        let server = entry(&root, "server");
        assert_eq!((server.position.line, server.position.column), (2, 1));
        let port = entry(&server.value, "grpc_port");
        assert_eq!(
            (port.position.line, port.position.column, port.value.position.line, port.value.position.column),
            (3, 3, 3, 14)
        );
        assert_eq!(port.value.shape, Shape::Text("60051".to_owned()));
        assert_eq!(entry(&server.value, "model").value.shape, Shape::Text("4.10".to_owned()));
        assert_eq!(entry(&server.value, "note").value.shape, Shape::Text("a b".to_owned()));
        assert_eq!(entry(&server.value, "on").value.shape, Shape::Text("yes".to_owned()));
        let Shape::List(items) = &entry(&server.value, "list").value.shape else { panic!("not a list") };
        assert_eq!((items[2].position.line, items[2].position.column), (7, 16));
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let root = Node::parse("a: &x 0x10\nb: *x\n").unwrap();
        let b = &entry(&root, "b").value;
        assert_eq!((b.position.line, b.position.column, &b.shape), (2, 4, &Shape::Text("0x10".to_owned())));
    }

    #[test]
    fn a_byte_order_mark_moves_nothing() {
        let root = Node::parse("\u{feff}model: 4.10\n").unwrap();
        assert_eq!(entry(&root, "model").value.shape, Shape::Text("4.10".to_owned()));
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(Node::parse("").unwrap().shape, Shape::Null);
        assert_eq!(Node::parse("# only a comment\n").unwrap().shape, Shape::Null);
    }

    #[test]
    fn broken_yaml_says_where_and_not_what_stands_there() {
        let error = Node::parse("a: 1\nb: [sk-secret\nc: 2\n").unwrap_err();
        assert!(error.position.line >= 2, "{error:?}");
        assert!(!error.message.contains("sk-secret"), "{error:?}");
        let error = Node::parse("a: 1\na: 2\n").unwrap_err();
        assert_eq!(error.position.line, 2, "{error:?}");
        assert!(Node::parse("a: 1\n---\nb: 2\n").is_err());
    }
}
