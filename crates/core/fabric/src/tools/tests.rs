//! The tools over a backend that only remembers what it was asked.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use loom_base::{EffectId, ErrorCode, TraceId, TurnId};
use loom_patterns::Registry;
use loom_tools::{EffectClass, ToolContext, ToolError, ToolErrorKind, ToolOutput, ToolSet};

use super::*;
use crate::fixture::{shop, table};
use crate::{
    BackendError, BackendErrorKind, Capabilities, Cell, Dialect, QueryContext, QueryResult, Resource, Schema,
};

/// Answers every query with one row, or fails as told; keeps what it was asked.
struct Scripted {
    capabilities: Capabilities,
    description: Option<String>,
    schema: Schema,
    failure: Option<BackendErrorKind>,
    asked: Mutex<Vec<(String, Vec<Cell>)>>,
}

impl Default for Scripted {
    fn default() -> Self {
        let capabilities = Capabilities { dialect: Dialect::Sqlite, read_only: true, tools: None };
        Self { capabilities, description: None, schema: shop(), failure: None, asked: Mutex::default() }
    }
}

#[async_trait]
impl ExecutionBackend for Scripted {
    fn name(&self) -> &'static str {
        "music"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    async fn execute_query(
        &self,
        query: &str,
        parameters: &[Cell],
        context: &QueryContext,
    ) -> Result<QueryResult, BackendError> {
        self.asked.lock().unwrap().push((query.to_owned(), parameters.to_vec()));
        if context.cancel.is_cancelled() {
            return Err(BackendError::new("music", BackendErrorKind::Cancelled, "stopped"));
        }
        match self.failure {
            Some(kind) => Err(BackendError::new("music", kind, "no")),
            None => Ok(QueryResult {
                columns: vec!["n".into()],
                rows: vec![vec![Cell::Integer(1)]],
                truncated: true,
                duration: Duration::ZERO,
            }),
        }
    }

    async fn get_schema(&self) -> Result<Arc<Schema>, BackendError> {
        Ok(Arc::new(self.schema.clone()))
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, BackendError> {
        Ok(self.schema.tables.iter().map(|table| table.resource.clone()).collect())
    }

    async fn ping(&self, _deadline: Duration) -> Result<Duration, BackendError> {
        Ok(Duration::ZERO)
    }

    async fn close(&self) {}
}

struct Bench {
    backend: Arc<Scripted>,
    tools: ToolSet,
    cancel: CancellationToken,
}

impl Bench {
    fn with(read_only: bool, failure: Option<BackendErrorKind>, suffix: Option<&str>) -> Self {
        let capabilities = Capabilities { dialect: Dialect::Sqlite, read_only, tools: None };
        Self::over(Scripted { capabilities, failure, ..Scripted::default() }, suffix)
    }

    fn over(backend: Scripted, suffix: Option<&str>) -> Self {
        let count = "name: count\nparameters: [{name: table, type: table, required: true}]\n\
                     templates: {sql: 'SELECT COUNT(*) AS n FROM {{from}}'}";
        let (registry, report) = Registry::with_built_in([("core/count.yaml", count)]);
        assert_eq!(report.errors, []);
        let backend = Arc::new(backend);
        let tools =
            backend_tools(Arc::clone(&backend) as _, suffix, Arc::new(registry), QueryLimits::default());
        Self { backend, tools: ToolSet::new(tools).unwrap(), cancel: CancellationToken::new() }
    }

    async fn call(&self, name: &str, input: Value) -> Result<ToolOutput, ToolError> {
        self.tools.check_arguments(name, &input).unwrap();
        let turn: TurnId = "turn_00000000000000000000000000000007".parse().unwrap();
        let context = ToolContext {
            effect: EffectId { turn, number: 1 },
            session: "s".parse().unwrap(),
            agent: "a".parse().unwrap(),
            trace: TraceId::of_turn(turn),
            cancel: self.cancel.clone(),
        };
        self.tools.get(name).unwrap().call(input, context).await
    }

    fn asked(&self) -> Vec<(String, Vec<Cell>)> {
        self.backend.asked.lock().unwrap().clone()
    }
}

fn plain() -> Bench {
    Bench::with(true, None, None)
}

#[test]
fn only_what_may_change_data_is_unsafe() {
    let effects = |read_only| -> Vec<(String, EffectClass)> {
        let bench = Bench::with(read_only, None, Some("music"));
        bench.tools.iter().map(|tool| (tool.spec().definition.name.to_string(), tool.spec().effect)).collect()
    };
    assert!(effects(true).iter().all(|(_, effect)| *effect == EffectClass::Pure));
    let unsafe_tools: Vec<_> = effects(false)
        .into_iter()
        .filter(|(_, effect)| *effect == EffectClass::Unsafe)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(unsafe_tools, ["query_music", "run_pattern_music"]);
}

#[test]
fn every_tool_declares_its_role_and_backend() {
    let bench = plain();
    for (name, role) in BACKEND_TOOLS {
        let spec = bench.tools.get(name).unwrap().spec();
        assert_eq!((spec.definition.role, spec.backend.as_deref()), (Some(role), Some("music")), "{name}");
        assert!(spec.timeout > QueryLimits::default().timeout);
    }
}

#[test]
fn tools_that_are_not_offered_are_left_out() {
    let offered = |tools| {
        let capabilities = Capabilities { dialect: Dialect::Sqlite, read_only: true, tools };
        let bench = Bench::over(Scripted { capabilities, ..Scripted::default() }, None);
        bench.tools.iter().map(|tool| tool.spec().definition.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(offered(Some(vec![ToolRole::RunPattern, ToolRole::Schema])), ["run_pattern", "schema"]);
    assert!(offered(Some(Vec::new())).is_empty());
    assert_eq!(offered(None).len(), BACKEND_TOOLS.len());
}

#[test]
fn a_description_is_told_by_every_tool_and_briefly() {
    let told = |description: Option<&str>, suffix| {
        let description = description.map(str::to_owned);
        let bench = Bench::over(Scripted { description, ..Scripted::default() }, suffix);
        bench.tools.iter().map(|tool| tool.spec().definition.description.to_string()).collect::<Vec<_>>()
    };
    let short = told(Some("Orders of the\n  web shop."), None);
    let ending = " Works on the backend \"music\": Orders of the web shop.";
    assert!(
        short.len() == BACKEND_TOOLS.len() && short.iter().all(|text| text.ends_with(ending)),
        "{short:?}"
    );
    let long = told(Some(&"é".repeat(5_000)), Some("music"));
    assert!(long.iter().all(|text| text.len() < 1_000 && text.ends_with("é…")), "{long:?}");
    assert!(told(None, None).iter().all(|text| !text.contains("backend")));
}

#[tokio::test]
async fn tables_and_schema_have_the_agreed_shape() {
    let bench = plain();
    let listed = bench.call("list_tables", json!({})).await.unwrap().data;
    assert_eq!(listed["tables"][0], json!({"name": "Album", "kind": "table", "row_estimate": 10}));
    let schema = bench.call("schema", json!({"tables": ["album"]})).await.unwrap().data;
    assert_eq!(
        schema,
        json!({
            "dialect": "sqlite",
            "tables": [{
                "name": "Album", "kind": "table", "row_estimate": 10,
                "columns": [
                    {"name": "AlbumId", "data_type": "INTEGER", "class": "integer", "nullable": true},
                    {"name": "Title", "data_type": "TEXT", "class": "text", "nullable": true},
                    {"name": "ArtistId", "data_type": "INTEGER", "class": "integer", "nullable": true},
                ],
                "primary_key": ["AlbumId"],
                "foreign_keys": [
                    {"columns": ["ArtistId"], "references_table": "Artist", "references_columns": ["ArtistId"]}
                ],
            }],
        })
    );
    assert_eq!(bench.call("schema", json!({})).await.unwrap().data["tables"].as_array().unwrap().len(), 7);
    let error = bench.call("schema", json!({"tables": ["Albun"]})).await.unwrap_err();
    assert_eq!(error.message, "there is no table `Albun`; did you mean `Album`?");
    assert_eq!(bench.asked(), []);
}

/// As many tables of the shop's kind, each of some 570 bytes.
fn many(count: usize) -> Bench {
    let tables =
        (0..count).map(|n| table(&format!("orders_{n:05}"), &["id INTEGER", "a", "b", "c", "d"], &[]));
    Bench::over(Scripted { schema: Schema { tables: tables.collect() }, ..Scripted::default() }, None)
}

/// The tables of an answer that has to fit, those of them with columns, and the note.
async fn shown(bench: &Bench, tool: &str, input: Value) -> (Vec<String>, usize, String) {
    let data = bench.call(tool, input).await.unwrap().data;
    let size = data.to_string().len();
    assert!(size <= 50_000, "{tool} answers with {size} bytes");
    let tables = data["tables"].as_array().unwrap();
    let names = tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect();
    let described = tables.iter().filter(|table| table["columns"].is_array()).count();
    (names, described, data["note"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_large_schema_is_shown_as_far_as_it_fits() {
    let (names, described, note) = shown(&many(80), "schema", json!({})).await;
    assert_eq!((names.len(), described, note.as_str()), (80, 80, ""));
    let (names, described, note) = shown(&many(120), "schema", json!({})).await;
    assert!(names.len() == 120 && (60..120).contains(&described), "{described}");
    let left = format!("{} tables are shown without their columns", 120 - described);
    assert!(note.contains(&left) && note.contains("`tables`"), "{note}");
    let (names, described, note) = shown(&many(1_000), "schema", json!({})).await;
    assert_eq!((names.len(), described), (1_000, 0));
    assert!(note.contains("1000 tables are shown without their columns"), "{note}");
    let (names, described, note) = shown(&many(20_000), "schema", json!({"tables": []})).await;
    assert!(names.len() > 1_000 && described == 0, "{}", names.len());
    let left = format!("{} more tables are left out", 20_000 - names.len());
    assert!(note.contains(&left) && note.contains("list_tables"), "{note}");
}

#[tokio::test]
async fn tables_asked_for_are_described_as_far_as_they_fit() {
    let bench = many(20_000);
    let asked: Vec<String> = (0..300).map(|n| format!("orders_{n:05}")).collect();
    let (names, described, note) = shown(&bench, "schema", json!({"tables": asked})).await;
    assert!(names.len() == described && (60..300).contains(&described), "{described}");
    assert!(note.contains(&format!("{} tables did not fit", 300 - described)), "{note}");
    assert!(note.contains(&asked[described]), "it says where to go on: {note}");

    let columns: Vec<String> = (0..5_000).map(|n| format!("column_{n:05} NUMERIC")).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let schema = Schema { tables: vec![table("wide", &columns, &[])] };
    let wide = Bench::over(Scripted { schema, ..Scripted::default() }, None);
    let data = wide.call("schema", json!({"tables": ["wide"]})).await.unwrap().data;
    assert!(data.to_string().len() <= 50_000);
    let shown = data["tables"][0]["columns"].as_array().unwrap().len();
    assert!(shown > 100 && data["tables"][0]["columns_left_out"] == json!(5_000 - shown), "{shown}");
}

#[tokio::test]
async fn many_tables_are_listed_as_far_as_they_fit_and_found_by_their_names() {
    let bench = many(20_000);
    let (names, _, note) = shown(&bench, "list_tables", json!({})).await;
    assert!(names.len() > 1_000 && note.contains("`matching`"), "{} {note}", names.len());
    assert!(note.contains(&format!("{} more", 20_000 - names.len())), "{note}");
    let found = bench.call("list_tables", json!({"matching": "ORDERS_*77"})).await.unwrap().data;
    assert_eq!(found["tables"].as_array().unwrap().len(), 200);
    assert_eq!(found["tables"][0], json!({"name": "orders_00077", "kind": "table", "row_estimate": 10}));
    assert!(found.get("note").is_none());
    let none = bench.call("list_tables", json!({"matching": "invoice"})).await.unwrap().data;
    assert_eq!(none, json!({"tables": []}));
}

#[tokio::test]
async fn sample_and_query_send_bound_values_and_tell_the_facts() {
    let bench = plain();
    bench.call("sample", json!({"table": "artist", "limit": 3})).await.unwrap();
    let output =
        bench.call("query", json!({"sql": "SELECT ?1, ?2", "parameters": ["x", null]})).await.unwrap();
    assert_eq!(output.data, json!({"columns": ["n"], "rows": [[1]], "row_count": 1, "truncated": true}));
    assert_eq!(Value::Object(output.facts), json!({"query": "SELECT ?1, ?2", "rows": 1, "truncated": true}));
    assert_eq!(
        bench.asked(),
        [
            ("SELECT * FROM \"Artist\" LIMIT ?1".to_owned(), vec![Cell::Integer(3)]),
            ("SELECT ?1, ?2".to_owned(), vec![Cell::Text("x".into()), Cell::Null]),
        ]
    );
    assert!(bench.tools.check_arguments("query", &json!({"sql": "x", "parameters": [{}]})).is_err());
}

#[tokio::test]
async fn run_pattern_shows_the_query_it_ran() {
    let bench = plain();
    let output = bench
        .call("run_pattern", json!({"pattern": "count", "parameters": {"table": "Track"}}))
        .await
        .unwrap();
    assert_eq!(output.data["pattern"], "count");
    assert_eq!(output.data["query"], "SELECT COUNT(*) AS n FROM \"Track\"");
    assert_eq!(output.data["parameters"], json!([]));
    assert_eq!((&output.facts["pattern"], &output.facts["rows"]), (&json!("count"), &json!(1)));

    let unknown = bench.call("run_pattern", json!({"pattern": "cuont", "parameters": {}})).await.unwrap_err();
    assert_eq!(
        (unknown.code, unknown.message.as_str()),
        (ErrorCode::PatternNotFound, "no pattern is called `cuont`; did you mean `count`?")
    );
    let missing = bench.call("run_pattern", json!({"pattern": "count", "parameters": {}})).await.unwrap_err();
    assert_eq!(
        (missing.code, missing.message.as_str()),
        (ErrorCode::InvalidArgument, "missing parameter `table` (table)")
    );
}

#[tokio::test]
async fn failures_keep_their_kind_and_name_the_query() {
    for (kind, expected, code) in [
        (BackendErrorKind::Refused, ToolErrorKind::Failed, ErrorCode::QueryRefused),
        (BackendErrorKind::Failed, ToolErrorKind::Failed, ErrorCode::QueryFailed),
        (BackendErrorKind::Unavailable, ToolErrorKind::Unavailable, ErrorCode::BackendUnavailable),
        (BackendErrorKind::TimedOut, ToolErrorKind::Interrupted, ErrorCode::DeadlineExceeded),
        (BackendErrorKind::Cancelled, ToolErrorKind::Interrupted, ErrorCode::Cancelled),
    ] {
        let error = Bench::with(true, Some(kind), None).call("query", json!({"sql": "S"})).await.unwrap_err();
        assert_eq!((error.kind, error.code), (expected, code));
        assert_eq!((error.message.as_str(), &error.facts["query"]), ("music: no", &json!("S")));
    }
}

#[tokio::test]
async fn a_cancelled_call_reaches_the_engine_or_never_starts() {
    let bench = plain();
    bench.cancel.cancel();
    for (name, input) in [
        ("query", json!({"sql": "S"})),
        ("list_tables", json!({})),
        ("schema", json!({})),
        ("sample", json!({"table": "Track"})),
        ("run_pattern", json!({"pattern": "count", "parameters": {"table": "Track"}})),
    ] {
        let error = bench.call(name, input).await.unwrap_err();
        assert_eq!((error.kind, error.code), (ToolErrorKind::Interrupted, ErrorCode::Cancelled), "{name}");
    }
    assert_eq!(bench.asked().len(), 1, "the query was told, the others ended before one");
}
