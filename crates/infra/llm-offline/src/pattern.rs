//! The search tool's answer: patterns that may fit, and what they need.

use serde::Deserialize;
use serde_json::Value;

use crate::partial;
use crate::question::{Question, Word};
use crate::words::{self, Concept};

/// A pattern as the search shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Pattern {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    pub(crate) confidence: f64,
    #[serde(default)]
    pub(crate) executable: bool,
    #[serde(default)]
    pub(crate) parameters: Vec<Parameter>,
    #[serde(skip)]
    headline: Vec<Word>,
    #[serde(skip)]
    described: Vec<Word>,
}

/// A value that a pattern needs.
#[derive(Debug, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    pub(crate) default: Value,
}

/// What a parameter stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Table,
    Column,
    Measure,
    Label,
    Time,
    Number,
    /// A text, or a kind this provider cannot bind.
    #[default]
    #[serde(other)]
    Other,
}

impl Kind {
    /// Whether rows are grouped by it.
    pub(crate) const fn groups(self) -> bool {
        matches!(self, Self::Column | Self::Label | Self::Time)
    }

    /// The kind as a person would be asked for it.
    pub(crate) const fn wanted(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Column => "a column",
            Self::Measure => "a numeric column",
            Self::Label => "something with a name, to group by",
            Self::Time => "a date or time column",
            Self::Number => "a number",
            Self::Other => "a value that I cannot take from a question",
        }
    }
}

impl Parameter {
    pub(crate) fn must_be_bound(&self) -> bool {
        self.required && self.default.is_null()
    }

    /// Whether it says how many rows to show.
    pub(crate) fn is_limit(&self) -> bool {
        self.kind == Kind::Number && words::split(&self.description).contains(&"show")
            || matches!(self.name.as_str(), "limit" | "n" | "top")
    }
}

#[derive(Deserialize)]
struct Found {
    patterns: Vec<Pattern>,
}

impl Pattern {
    /// Reads the tool's JSON; the reason when it is something else.
    pub(crate) fn read_all(json: &str) -> Result<Vec<Self>, String> {
        let mut found = partial::read::<Found>(json)?.value;
        for pattern in &mut found.patterns {
            pattern.headline = Question::read(&format!("{} {}", pattern.name, pattern.title)).words;
            pattern.described = Question::read(&pattern.description).words;
        }
        Ok(found.patterns)
    }

    /// Whether it can be run on an engine that speaks `dialect`: a pattern about another engine cannot.
    pub(crate) fn runs_on(&self, dialect: &str) -> bool {
        const ENGINES: [&str; 2] = ["postgres", "sqlite"];
        self.executable && (!ENGINES.contains(&self.domain.as_str()) || dialect.starts_with(&self.domain))
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.parameters.iter().map(|parameter| parameter.kind)
    }

    /// What a person calls it.
    pub(crate) fn shown(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }

    /// What its name and title say it does.
    pub(crate) fn concepts(&self) -> Vec<Concept> {
        let mut concepts: Vec<Concept> = Vec::new();
        for concept in self.headline.iter().filter_map(|word| word.concept) {
            if !concepts.contains(&concept) {
                concepts.push(concept);
            }
        }
        concepts
    }

    /// How well its own words account for a word of the question: 0 to 1.
    pub(crate) fn accounts_for(&self, word: &Word) -> f64 {
        const SAME_STEM: f64 = 0.95;
        const DESCRIBED: f64 = 0.6;
        let same = |own: &Word| match (word.concept, own.concept) {
            (Some(Concept::Trend), Some(own)) => own == Concept::Trend || own.is_period(),
            (Some(concept), own) => own == Some(concept),
            (None, _) => words::likeness(&word.lower, &own.lower) >= SAME_STEM,
        };
        if self.headline.iter().any(same) {
            return 1.0;
        }
        // To count its values is a by-product of every pattern with a measure.
        let has_measure = self.kinds().any(|kind| kind == Kind::Measure);
        let may_be_described = word.concept.is_some_and(|concept| concept != Concept::Count || !has_measure);
        if may_be_described && self.described.iter().any(same) { DESCRIBED } else { 0.0 }
    }
}
