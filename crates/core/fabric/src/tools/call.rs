//! What the tools of a backend do.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use loom_base::{ErrorCode, nearest};
use loom_llm::ToolRole;
use loom_patterns::Source;
use loom_tools::{Tool, ToolContext, ToolError, ToolOutput, ToolSpec};

use super::listing;
use super::spec::{DEFAULT_SAMPLE_ROWS, MAX_SAMPLE_ROWS};
use crate::{
    BackendError, BackendErrorKind, Cell, ExecutionBackend, QueryContext, QueryLimits, QueryResult, Schema,
    Table, TableFilter, render,
};

/// What the tools of one backend share.
pub(super) struct Desk {
    pub(super) backend: Arc<dyn ExecutionBackend>,
    pub(super) patterns: Arc<dyn Source>,
    pub(super) limits: QueryLimits,
}

/// One tool; `role` says which.
pub(super) struct BackendTool {
    pub(super) spec: ToolSpec,
    pub(super) role: ToolRole,
    pub(super) desk: Arc<Desk>,
}

#[async_trait]
impl Tool for BackendTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        match self.role {
            ToolRole::Schema => self.desk.schema(&input, &context).await,
            ToolRole::Sample => self.desk.sample(&input, &context).await,
            ToolRole::Query => self.desk.query(&input, &context).await,
            ToolRole::RunPattern => self.desk.run_pattern(&input, &context).await,
            ToolRole::ListResources
            | ToolRole::SearchPatterns
            | ToolRole::LoadPattern
            | ToolRole::AskUser => self.desk.list_tables(&input, &context).await,
        }
    }
}

impl Desk {
    async fn list_tables(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let resources = self.unless_cancelled(context, self.backend.list_resources()).await?;
        let wanted = TableFilter {
            include: input["matching"].as_str().map(str::to_owned).into_iter().collect(),
            exclude: Vec::new(),
        };
        let matching = resources.iter().filter(|resource| wanted.admits(resource));
        Ok(ToolOutput::new(listing::resources(matching)))
    }

    async fn schema(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let schema = self.unless_cancelled(context, self.backend.get_schema()).await?;
        let dialect = self.backend.capabilities().dialect;
        Ok(ToolOutput::new(match input.get("tables").and_then(Value::as_array) {
            Some(names) if !names.is_empty() => {
                let asked = names.iter().map(|name| find_table(&schema, name.as_str().unwrap_or_default()));
                listing::descriptions(&asked.collect::<Result<Vec<_>, _>>()?, dialect)
            }
            _ => listing::overview(&schema, dialect),
        }))
    }

    async fn sample(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let name = text_argument(input, "table")?;
        let limit = input["limit"].as_i64().unwrap_or(DEFAULT_SAMPLE_ROWS.cast_signed());
        let limit = limit.clamp(1, MAX_SAMPLE_ROWS.cast_signed());
        let schema = self.unless_cancelled(context, self.backend.get_schema()).await?;
        let table = find_table(&schema, name)?;
        let dialect = self.backend.capabilities().dialect;
        let namespace = table.resource.namespace.iter().map(|namespace| dialect.quote(namespace) + ".");
        let sql = format!(
            "SELECT * FROM {}{} LIMIT {}",
            namespace.collect::<String>(),
            dialect.quote(&table.resource.name),
            dialect.placeholder(1),
        );
        let result = self.execute(&sql, &[Cell::Integer(limit)], context).await?;
        Ok(with_facts(ToolOutput::new(result.to_json()), &sql, &result))
    }

    async fn query(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let sql = text_argument(input, "sql")?;
        let parameters: Vec<Cell> = match input.get("parameters") {
            None | Some(Value::Null) => Vec::new(),
            Some(written) => serde_json::from_value(written.clone())
                .map_err(|error| invalid(format!("argument `parameters`: {error}")))?,
        };
        let result = self.execute(sql, &parameters, context).await?;
        Ok(with_facts(ToolOutput::new(result.to_json()), sql, &result))
    }

    async fn run_pattern(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let name = text_argument(input, "pattern")?;
        let snapshot = self.patterns.snapshot();
        let Some(pattern) = snapshot.get(name) else {
            let meant = nearest(name, snapshot.iter().map(|pattern| pattern.name.as_str()));
            let hint = meant
                .map_or_else(|| "search_patterns finds them".to_owned(), |m| format!("did you mean `{m}`?"));
            let message = format!("no pattern is called `{name}`; {hint}");
            return Err(ToolError::failed(ErrorCode::PatternNotFound, message));
        };
        let none = Map::new();
        let given = match input.get("parameters") {
            None | Some(Value::Null) => &none,
            Some(Value::Object(given)) => given,
            Some(_) => return Err(invalid("argument `parameters` must be an object")),
        };
        let schema = self.unless_cancelled(context, self.backend.get_schema()).await?;
        let dialect = self.backend.capabilities().dialect;
        let rendered = render(pattern, input["template"].as_str(), given, dialect, &schema)
            .map_err(|error| invalid(error.to_string()).fact("pattern", name))?;
        let result = self
            .execute(&rendered.sql, &rendered.parameters, context)
            .await
            .map_err(|error| error.fact("pattern", name))?;
        let mut data = result.to_json();
        data["pattern"] = json!(name);
        data["query"] = json!(rendered.sql);
        data["parameters"] = rendered.parameters.iter().map(Cell::to_json).collect();
        Ok(with_facts(ToolOutput::new(data), &rendered.sql, &result).fact("pattern", name))
    }

    /// Runs a query; the backend hears of a cancelled call through the query's own context and stops the engine.
    async fn execute(
        &self,
        sql: &str,
        parameters: &[Cell],
        context: &ToolContext,
    ) -> Result<QueryResult, ToolError> {
        let query = QueryContext { limits: self.limits, cancel: context.cancel.clone() };
        let result = self.backend.execute_query(sql, parameters, &query).await;
        result.map_err(|error| tool_error(&error).fact("query", sql))
    }

    /// For calls that have no context of their own: they read the catalog only, so letting go of them is enough.
    async fn unless_cancelled<T>(
        &self,
        context: &ToolContext,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, ToolError> {
        let done = context.cancel.run_until_cancelled(work).await;
        let cancelled = || {
            let name = self.backend.name();
            Err(BackendError::new(name, BackendErrorKind::Cancelled, "the call was cancelled"))
        };
        done.unwrap_or_else(cancelled).map_err(|error| tool_error(&error))
    }
}

fn tool_error(error: &BackendError) -> ToolError {
    let (code, message) = (error.code(), error.to_string());
    match error.kind {
        BackendErrorKind::Refused | BackendErrorKind::Failed => ToolError::failed(code, message),
        BackendErrorKind::Unavailable => ToolError::unavailable(code, message),
        BackendErrorKind::TimedOut | BackendErrorKind::Cancelled => ToolError::interrupted(code, message),
    }
}

fn invalid(message: impl Into<String>) -> ToolError {
    ToolError::failed(ErrorCode::InvalidArgument, message)
}

fn text_argument<'a>(input: &'a Value, name: &str) -> Result<&'a str, ToolError> {
    input[name].as_str().ok_or_else(|| invalid(format!("argument `{name}` must be a text")))
}

fn with_facts(output: ToolOutput, sql: &str, result: &QueryResult) -> ToolOutput {
    output.fact("query", sql).fact("rows", result.rows.len()).fact("truncated", result.truncated)
}

fn find_table<'a>(schema: &'a Schema, name: &str) -> Result<&'a Table, ToolError> {
    schema.table(name).ok_or_else(|| {
        let names: Vec<String> = schema.tables.iter().map(|table| table.resource.qualified_name()).collect();
        invalid(match nearest(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("there is no table `{name}`; did you mean `{meant}`?"),
            None => format!("there is no table `{name}`; list_tables shows them"),
        })
    })
}
