//! An agent file as a tree, with its variables replaced.

use loom_base::ErrorCode;
use loom_yaml::Position;

use super::fields::Problems;

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
        match loom_yaml::Node::parse(text) {
            Ok(root) => Some(Self::expanded(root, expand, problems)),
            Err(error) => {
                problems.add(error.position, ErrorCode::InvalidYaml, &error.message);
                None
            }
        }
    }

    fn expanded(
        node: loom_yaml::Node,
        expand: &dyn Fn(&str) -> Result<String, String>,
        problems: &Problems,
    ) -> Self {
        let position = node.position;
        let shape = match node.shape {
            loom_yaml::Shape::Null => Shape::Null,
            loom_yaml::Shape::Text(written) => {
                let refused = |reason: String| problems.add(position, ErrorCode::InvalidConfig, &reason);
                let expanded = expand(&written).map_err(refused).ok();
                Shape::Text { written, expanded }
            }
            loom_yaml::Shape::List(items) => {
                Shape::List(items.into_iter().map(|item| Self::expanded(item, expand, problems)).collect())
            }
            loom_yaml::Shape::Map(entries) => {
                let entry = |loom_yaml::Entry { key, position, value }| Entry {
                    key,
                    position,
                    value: Self::expanded(value, expand, problems),
                };
                Shape::Map(entries.into_iter().map(entry).collect())
            }
        };
        Self { position, shape }
    }
}
