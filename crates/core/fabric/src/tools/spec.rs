//! What the tools of a backend declare.

use std::time::Duration;

use serde_json::{Value, json};

use loom_llm::{ToolDefinition, ToolRole};
use loom_tools::{EffectClass, ToolSpec};

use crate::{Dialect, ExecutionBackend, QueryLimits};

/// Rows that `sample` shows when the caller does not say.
pub(super) const DEFAULT_SAMPLE_ROWS: u64 = 5;
/// The most it shows.
pub(super) const MAX_SAMPLE_ROWS: u64 = 100;
/// What a tool gets beyond its query's time, so that the engine's own timeout, which can say more, comes first.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn spec(
    backend: &dyn ExecutionBackend,
    name: &str,
    role: ToolRole,
    suffix: Option<&str>,
    limits: QueryLimits,
) -> ToolSpec {
    let capabilities = backend.capabilities();
    let (description, input_schema) = describe(role, capabilities.dialect, capabilities.read_only);
    let name = suffix.map_or_else(|| name.to_owned(), |suffix| format!("{name}_{suffix}"));
    let description = match (backend.description().map(shortened), suffix) {
        (Some(holds), _) => format!("{description} Works on the backend \"{}\": {holds}", backend.name()),
        (None, Some(_)) => format!("{description} Works on the backend \"{}\".", backend.name()),
        (None, None) => description,
    };
    let may_change = matches!(role, ToolRole::Query | ToolRole::RunPattern) && !capabilities.read_only;
    ToolSpec {
        definition: ToolDefinition {
            name: name.into(),
            description: description.into(),
            input_schema,
            role: Some(role),
        },
        effect: if may_change { EffectClass::Unsafe } else { EffectClass::Pure },
        timeout: limits.timeout.saturating_add(GRACE),
        backend: Some(backend.name().into()),
    }
}

/// The beginning of a backend's description, on one line: it is sent with every tool in every request.
fn shortened(description: &str) -> String {
    const MAX_CHARS: usize = 200;
    let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

fn describe(role: ToolRole, dialect: Dialect, read_only: bool) -> (String, Value) {
    let language = match dialect {
        Dialect::Sqlite => "SQLite",
        Dialect::Postgres => "PostgreSQL",
    };
    let object = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    match role {
        ToolRole::Schema => (
            "Shows tables with their columns, types, primary keys and foreign keys. Use these names, exactly, in \
             queries and pattern parameters."
                .to_owned(),
            object(
                json!({"tables": {
                    "type": "array", "items": {"type": "string"}, "description": "only these tables; all, as far as they fit, when left out",
                }}),
                json!([]),
            ),
        ),
        ToolRole::Sample => (
            "Shows a few rows of a table, to see what its values look like.".to_owned(),
            object(
                json!({
                    "table": {"type": "string", "description": "the table's name"},
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": MAX_SAMPLE_ROWS, "default": DEFAULT_SAMPLE_ROWS,
                    },
                }),
                json!(["table"]),
            ),
        ),
        ToolRole::RunPattern => (
            "Fills a pattern's template with parameters and runs it. Name tables and columns as the schema does \
             (Table.Column); joins are found over foreign keys. Prefer this to a query of your own when a pattern fits."
                .to_owned(),
            object(
                json!({
                    "pattern": {"type": "string", "description": "the pattern's name, from search_patterns"},
                    "template": {"type": "string", "description": "which of its templates; usually left out"},
                    "parameters": {"type": "object", "description": "the pattern's parameters by name"},
                }),
                json!(["pattern", "parameters"]),
            ),
        ),
        ToolRole::Query => {
            let placeholder = dialect.placeholder(1);
            let reading = if read_only { " Only reading queries are accepted." } else { "" };
            (
                format!(
                    "Runs one {language} statement.{reading} Bind values through `parameters` as {placeholder}, never \
                     write them into the SQL."
                ),
                object(
                    json!({
                        "sql": {"type": "string", "description": "one statement"},
                        "parameters": {
                            "type": "array",
                            "items": {"type": ["string", "number", "boolean", "null"]},
                            "description": "values of the placeholders, in order",
                        },
                    }),
                    json!(["sql"]),
                ),
            )
        }
        ToolRole::ListResources | ToolRole::SearchPatterns | ToolRole::LoadPattern | ToolRole::AskUser => (
            format!("Lists the tables and views of the {language} database, with about how many rows each has."),
            object(
                json!({"matching": {
                    "type": "string", "description": "only names like this; * stands for any text, as in *order*",
                }}),
                json!([]),
            ),
        ),
    }
}
