//! Domain knowledge as data: patterns read from YAML, a ranked search over them, and snapshots that are swapped whole
//! when a file changes.
//!
//! It never touches a file system or a database: files come in as texts, and templates are filled elsewhere.

mod document;
mod files;
mod index;
mod lint;
mod pattern;
mod registry;
mod scaffold;
mod snapshot;
mod source;
mod template;
mod terms;
mod tools;
mod updates;

pub use document::parse;
pub use files::{Created, Existing, FilesError, Loaded, NewPattern, PatternFiles, check_file_name};
pub use lint::{Advice, lint};
pub use loom_yaml::Position;
pub use pattern::{CommonError, Example, Library, Parameter, ParameterKind, Pattern, PatternError, Rule};
pub use registry::{Change, FileText, Layer, Origin, Reading, Registry, ReloadReport};
pub use scaffold::scaffold;
pub use snapshot::{DEFAULT_MIN_CONFIDENCE, Match, Snapshot};
pub use source::Source;
pub use template::{FROM, KEY_SUFFIX, NotExecutable, Piece, Template, TemplateDialect};
pub use tools::pattern_tools;
pub use updates::{Heard, Update, UpdateKind, Updates};
