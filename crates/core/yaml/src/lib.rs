//! Reads YAML so that whoever wrote it learns where it is wrong and what was probably meant.
//!
//! [`read`] fills a type that knows its keys; [`Node::parse`] gives a tree, for formats whose keys are looked up. Which
//! keys there are, and what they mean, is the caller's to say.

mod position;
mod read;
mod tree;

pub use position::Position;
pub use read::{YamlError, read, unknown_key};
pub use tree::{Entry, Node, Shape, SyntaxError};
