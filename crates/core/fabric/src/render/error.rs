//! How filling a template fails: what is missing or wrong, and what would be right.

use loom_patterns::{NotExecutable, Parameter};

use super::bind::Columns;
use crate::Dialect;

/// Why a template cannot be filled. Every variant is the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The pattern has no such template, or none for the engine.
    #[error("pattern `{pattern}` has no {}template that runs on {}; {}", wanted_text(wanted.as_deref()), dialect.as_str(), list("it has", available))]
    NoTemplate {
        /// The pattern.
        pattern: String,
        /// The template asked for.
        wanted: Option<String>,
        /// The engine's language.
        dialect: Dialect,
        /// The keys of those that would do.
        available: Vec<String>,
    },
    /// The template is for reading only.
    #[error("template `{template}` cannot be run: {reason}")]
    NotExecutable {
        /// The template's key.
        template: String,
        /// Why.
        reason: NotExecutable,
    },
    /// The template has a placeholder that nothing stands for.
    #[error("nothing stands for the placeholder `{name}`")]
    UnknownPlaceholder {
        /// The placeholder.
        name: String,
    },
    /// The pattern declares no such parameter.
    #[error("there is no parameter `{name}`; {}", list("there are", known))]
    UnknownParameter {
        /// The parameter.
        name: String,
        /// Those that the template uses.
        known: Vec<String>,
    },
    /// The parameter has no effect in this template.
    #[error(
        "parameter `{name}` has no effect in template `{template}`; leave it out or choose another template"
    )]
    UnusedParameter {
        /// The parameter.
        name: String,
        /// The template's key.
        template: String,
    },
    /// A parameter without a default was not given.
    #[error("missing parameter `{name}` ({kind}){}", after_colon(description))]
    MissingParameter {
        /// The parameter.
        name: String,
        /// Its kind.
        kind: String,
        /// What it is for.
        description: String,
    },
    /// A value has the wrong form.
    #[error("parameter `{parameter}` must be {expected}, not {found}")]
    WrongValue {
        /// The parameter.
        parameter: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// No table has that name.
    #[error("parameter `{parameter}`: there is no table `{name}`; {}", list("there are", near))]
    UnknownTable {
        /// The parameter.
        parameter: String,
        /// The name given.
        name: String,
        /// Names that it may have meant.
        near: Vec<String>,
    },
    /// The table has no column of that name.
    #[error("parameter `{parameter}`: table `{table}` has no column `{column}`; {}", list("it has", near))]
    UnknownColumn {
        /// The parameter.
        parameter: String,
        /// The table.
        table: String,
        /// The name given.
        column: String,
        /// Names that it may have meant.
        near: Vec<String>,
    },
    /// A column was named without its table.
    #[error(
        "parameter `{parameter}`: write `{column}` as Table.Column; {}",
        list("columns of that name", near)
    )]
    TableNeeded {
        /// The parameter.
        parameter: String,
        /// The name given.
        column: String,
        /// Columns that it may have meant.
        near: Vec<String>,
    },
    /// The column holds another kind of values.
    #[error(
        "parameter `{parameter}` must be {expected}, but `{column}` is {found}; {}",
        list("it could be", near)
    )]
    WrongColumn {
        /// The parameter.
        parameter: String,
        /// The column.
        column: String,
        /// What it must be.
        expected: &'static str,
        /// Its type.
        found: String,
        /// Columns of the same table that would do.
        near: Vec<String>,
    },
    /// The columns of a label lie in more than one table.
    #[error(
        "parameter `{parameter}`: the columns of a label must be of one table, not of `{first}` and `{second}`"
    )]
    TwoTables {
        /// The parameter.
        parameter: String,
        /// One table.
        first: String,
        /// Another.
        second: String,
    },
    /// A column lies in a table that the template does not read it from.
    #[error(
        "parameter `{parameter}` must be a column of `{}`, not `{column}`",
        tables.join("` or `")
    )]
    OtherTable {
        /// The parameter.
        parameter: String,
        /// The column, with its table.
        column: String,
        /// Tables whose columns would do.
        tables: Vec<String>,
    },
    /// No parameter says which table to start from.
    #[error("no parameter names a table to read from")]
    NoBaseTable,
    /// No foreign keys lead from one table to the other.
    #[error("no foreign keys lead from `{from}` to `{to}`; choose columns of one table, or of a table that `{from}` refers to{}", after_colon(&reachable.join(", ")))]
    NoPath {
        /// The base table.
        from: String,
        /// The table to reach.
        to: String,
        /// Tables that can be reached.
        reachable: Vec<String>,
    },
    /// More than one shortest way leads from one table to the other.
    #[error(
        "several ways lead from `{from}` to `{to}`, and they mean different things; {}",
        list("they are", paths)
    )]
    AmbiguousPath {
        /// The base table.
        from: String,
        /// The table to reach.
        to: String,
        /// The ways.
        paths: Vec<String>,
    },
}

impl RenderError {
    pub(super) fn other_table(parameter: &Parameter, columns: &Columns<'_>, tables: Vec<String>) -> Self {
        let table = columns.table.resource.qualified_name();
        let names: Vec<String> =
            columns.columns.iter().map(|column| format!("{table}.{}", column.name)).collect();
        Self::OtherTable { parameter: parameter.name.clone(), column: names.join(", "), tables }
    }

    pub(super) fn missing(parameter: &Parameter) -> Self {
        Self::MissingParameter {
            name: parameter.name.clone(),
            kind: parameter.kind_text.clone(),
            description: parameter.description.clone(),
        }
    }
}

fn wanted_text(wanted: Option<&str>) -> String {
    wanted.map(|key| format!("`{key}` ")).unwrap_or_default()
}

fn list(intro: &str, names: &[String]) -> String {
    match names {
        [] => format!("{intro}: none"),
        names => format!("{intro}: {}", names.join(", ")),
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
