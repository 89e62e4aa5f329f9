//! One piece of domain knowledge: when to use it, what it needs, and the text it becomes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{NotExecutable, Template};
use loom_yaml::Position;

/// A pattern. Serialises as the JSON that a model is shown: what is empty is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pattern {
    /// Its name, unique among all patterns.
    pub name: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The library it belongs to: the `domain` of a library file, else the folder of its file.
    pub domain: String,
    /// The library file it belongs to, when it comes from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<Arc<Library>>,
    /// What kind of work it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How hard it is to use well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<String>,
    /// The kind of backend it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_type: Option<String>,
    /// The backend's function that it explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_function: Option<String>,
    /// Among equally good matches the higher one comes first.
    pub priority: i64,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Questions it answers, as users ask them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<String>,
    /// Situations it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub use_cases: Vec<String>,
    /// What its templates need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Its templates by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, Template>,
    /// Worked examples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// Mistakes often made with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub common_errors: Vec<CommonError>,
    /// Advice, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_practices: Option<String>,
    /// The backend's notation, explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syntax: Option<Value>,
    /// What to check in its results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Value>,
    /// A rule to follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Names of patterns that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related_patterns: Vec<String>,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Arc<str>,
}

impl Pattern {
    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The templates that look like queries to run and cannot be, each with the reason: they are shown as text only.
    pub fn not_executable(&self) -> impl Iterator<Item = (&str, &NotExecutable)> {
        self.templates.iter().filter_map(|(key, template)| match template.executable() {
            Ok(_) | Err(NotExecutable::Key | NotExecutable::NotAQuery) => None,
            Err(reason) => Some((key.as_str(), reason)),
        })
    }

    /// Whether some template of it can be run by `run_pattern`.
    pub fn is_executable(&self) -> bool {
        self.templates.values().any(|template| template.executable().is_ok())
    }
}

/// The head of a library file: what its patterns have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The domain of its patterns; its name when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Marks; `category` becomes the category of its patterns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A value that a template needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in placeholders.
    pub name: String,
    /// Its kind as written; [`Parameter::kind`] says what it means.
    #[serde(rename = "type", default)]
    pub kind_text: String,
    /// Whether a caller must give it; one with a default need not be given.
    #[serde(default)]
    pub required: bool,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// A value it could have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// The value it has when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// What a parameter stands for in an executable template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A table.
    Table,
    /// A column.
    Column,
    /// A numeric column.
    Measure,
    /// A column, or several of one table, that names a thing.
    Label,
    /// A column of dates or times.
    Time,
    /// A number, bound.
    Number,
    /// A text, bound.
    Text,
}

impl ParameterKind {
    /// The kinds by the names that files use.
    pub const ALL: [(&'static str, Self); 7] = [
        ("table", Self::Table),
        ("column", Self::Column),
        ("measure", Self::Measure),
        ("label", Self::Label),
        ("time", Self::Time),
        ("number", Self::Number),
        ("text", Self::Text),
    ];

    /// Whether it names one or more columns.
    pub const fn is_column_like(self) -> bool {
        matches!(self, Self::Column | Self::Measure | Self::Label | Self::Time)
    }
}

impl Parameter {
    /// What it stands for; `None` for the kinds of patterns that only explain, such as `string`.
    pub fn kind(&self) -> Option<ParameterKind> {
        ParameterKind::ALL.iter().find(|(name, _)| *name == self.kind_text).map(|(_, kind)| *kind)
    }
}

/// A worked example.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The situation, or the question asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The parameters given.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub parameters: serde_json::Map<String, Value>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected_result: String,
    /// What to notice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// A mistake often made, and its cure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommonError {
    /// What is seen.
    #[serde(default)]
    pub error: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub solution: String,
}

/// A rule of a library entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When it holds.
    #[serde(default)]
    pub condition: String,
    /// What to do then.
    #[serde(default)]
    pub action: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rationale: String,
}

/// Why a file, or one pattern in it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PatternError {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Where in it.
    pub position: Position,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position, message } = self;
        match position.line {
            0 => write!(f, "{file}: {message}"),
            line => write!(f, "{file}:{line}:{}: {message}", position.column),
        }
    }
}
