//! A pattern's template: its text cut into literal pieces and placeholders, and what can be said of it before any value
//! is known.

mod system_role;

use serde::Serialize;

use crate::{Parameter, ParameterKind};

pub(crate) use system_role::system_role_problem;

/// A text with `{{placeholders}}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Template {
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The text as written.
    pub content: String,
    /// Parameters it cannot do without, beyond those declared as required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_parameters: Vec<String>,
    /// How results are best shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    #[serde(skip)]
    pieces: Vec<Piece>,
    #[serde(skip)]
    executable: Result<TemplateDialect, NotExecutable>,
}

/// A part of a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stays as it is.
    Literal(String),
    /// The inside of `{{ }}`, trimmed, without the leading dot that the older notation has.
    Placeholder(String),
}

/// The engines a template is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateDialect {
    /// Any that speaks SQL.
    Any,
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// Why a template is for reading only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExecutable {
    /// Its key names no engine.
    #[error("its key is not `sql`, `sqlite` or `postgres`, alone or followed by `_` and a name")]
    Key,
    /// It does not begin with a word that starts a reading query.
    #[error("it does not begin with SELECT, WITH or VALUES")]
    NotAQuery,
    /// A placeholder is neither a declared parameter of a bindable kind nor built in.
    #[error("its placeholder `{0}` is not a declared parameter of a kind that can be bound")]
    Placeholder(String),
    /// A placeholder stands where a bound value or a quoted name cannot.
    #[error("its placeholder `{0}` stands inside quotes or a comment")]
    Quoted(String),
}

/// The placeholder for the base table with its joins.
pub const FROM: &str = "from";
/// What follows a label's name in the placeholder for its grouping key.
pub const KEY_SUFFIX: &str = ".key";

impl Template {
    /// A template of `content` under `key`, in a pattern with `parameters`.
    pub(crate) fn new(key: &str, content: String, parameters: &[Parameter]) -> Self {
        let pieces = cut(&content);
        let executable = check_executable(key, &pieces, parameters);
        Self {
            description: String::new(),
            content,
            required_parameters: Vec::new(),
            output_format: None,
            pieces,
            executable,
        }
    }

    /// Its parts, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The engines it can be run on, or why it cannot be run at all.
    pub fn executable(&self) -> Result<TemplateDialect, &NotExecutable> {
        self.executable.as_ref().copied()
    }
}

/// Cuts `content` at its placeholders. An opening `{{` that is never closed is literal.
fn cut(content: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = content;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else { break };
        literal.push_str(before);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Placeholder(placeholder_name(inside).to_owned()));
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    pieces
}

/// What stands between `{{` and `}}` without what only surrounds it.
fn placeholder_name(inside: &str) -> &str {
    let name = inside.trim();
    name.strip_prefix('.').unwrap_or(name)
}

fn check_executable(
    key: &str,
    pieces: &[Piece],
    parameters: &[Parameter],
) -> Result<TemplateDialect, NotExecutable> {
    let dialect = match key.split('_').next() {
        Some("sql") => TemplateDialect::Any,
        Some("sqlite") => TemplateDialect::Sqlite,
        Some("postgres") => TemplateDialect::Postgres,
        _ => return Err(NotExecutable::Key),
    };
    let first_word = match pieces.first() {
        Some(Piece::Literal(text)) => text.split_whitespace().next().unwrap_or_default(),
        Some(Piece::Placeholder(_)) | None => "",
    };
    if !["SELECT", "WITH", "VALUES"].iter().any(|word| first_word.eq_ignore_ascii_case(word)) {
        return Err(NotExecutable::NotAQuery);
    }
    let declared = |name: &str| parameters.iter().find(|parameter| parameter.name == name);
    let is_label = |name: &str| declared(name).and_then(Parameter::kind) == Some(ParameterKind::Label);
    let mut state = SqlState::Plain;
    for piece in pieces {
        match piece {
            Piece::Literal(text) => state = state.after(text),
            Piece::Placeholder(name) => {
                let bindable = match declared(name) {
                    Some(parameter) => parameter.kind().is_some(),
                    None => name == FROM || name.strip_suffix(KEY_SUFFIX).is_some_and(is_label),
                };
                if !bindable {
                    return Err(NotExecutable::Placeholder(name.clone()));
                }
                if state != SqlState::Plain {
                    return Err(NotExecutable::Quoted(name.clone()));
                }
            }
        }
    }
    Ok(dialect)
}

/// Where in SQL a piece ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SqlState {
    Plain,
    Quoted(char),
    LineComment,
    BlockComment,
}

impl SqlState {
    fn after(self, text: &str) -> Self {
        let mut state = self;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            state = match (state, character) {
                (Self::Plain, '\'' | '"' | '`') => Self::Quoted(character),
                (Self::Quoted(open), close) if open == close => Self::Plain,
                (Self::Plain, '-') if characters.next_if_eq(&'-').is_some() => Self::LineComment,
                (Self::LineComment, '\n') => Self::Plain,
                (Self::Plain, '/') if characters.next_if_eq(&'*').is_some() => Self::BlockComment,
                (Self::BlockComment, '*') if characters.next_if_eq(&'/').is_some() => Self::Plain,
                (unchanged, _) => unchanged,
            };
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameter(name: &str, kind: &str) -> Parameter {
        Parameter {
            name: name.into(),
            kind_text: kind.into(),
            required: true,
            description: String::new(),
            example: None,
            default: None,
        }
    }

    fn check(key: &str, content: &str) -> Result<TemplateDialect, NotExecutable> {
        let parameters =
            [parameter("label", "label"), parameter("limit", "number"), parameter("note", "string")];
        Template::new(key, content.into(), &parameters).executable().map_err(Clone::clone)
    }

    #[test]
    fn only_queries_with_bindable_placeholders_outside_quotes_are_executable() {
        let good = "SELECT {{label}} FROM {{from}} GROUP BY {{label.key}} LIMIT {{ limit }}";
        assert_eq!(check("sql", good), Ok(TemplateDialect::Any));
        assert_eq!(check("sqlite_by_year", good), Ok(TemplateDialect::Sqlite));
        assert_eq!(check("analysis", good), Err(NotExecutable::Key));
        assert_eq!(check("sql", "DELETE FROM {{from}}"), Err(NotExecutable::NotAQuery));
        assert_eq!(check("sql", "SELECT {{.note}}"), Err(NotExecutable::Placeholder("note".into())));
        assert_eq!(check("sql", "SELECT {{limit.key}}"), Err(NotExecutable::Placeholder("limit.key".into())));
        for quoted in ["SELECT 'it''s {{limit}}'", "SELECT 1 -- {{limit}}", "SELECT /* ' */ \"{{limit}}\""] {
            assert_eq!(check("sql", quoted), Err(NotExecutable::Quoted("limit".into())), "{quoted}");
        }
        assert!(check("sql", "SELECT 'a' -- it's\n, /* ' */ {{limit}}").is_ok());
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(content in "([a-z {}']|\\{\\{|\\}\\}){0,40}") {
            let rebuilt: String = cut(&content).into_iter().map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Placeholder(name) => format!("{{{{{name}}}}}"),
            }).collect();
            let squeeze = |text: &str| text.replace([' ', '.'], "");
            prop_assert_eq!(squeeze(&rebuilt), squeeze(&content));
        }
    }
}
