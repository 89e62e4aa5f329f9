//! Domain knowledge as data: patterns read from YAML, a ranked search over them, and snapshots that are swapped whole
//! when a file changes.
//!
//! It never touches a file system or a database: files come in as texts, and templates are filled elsewhere.

mod document;
mod index;
mod pattern;
mod registry;
mod snapshot;
mod source;
mod template;
mod terms;
mod tools;

pub use document::parse;
pub use pattern::{CommonError, Example, Library, Parameter, ParameterKind, Pattern, PatternError, Rule};
pub use registry::{Change, Layer, Registry, ReloadReport};
pub use snapshot::{DEFAULT_MIN_CONFIDENCE, Match, Snapshot};
pub use source::Source;
pub use template::{FROM, KEY_SUFFIX, NotExecutable, Piece, Template, TemplateDialect};
pub use tools::pattern_tools;
