//! Every executable template of the built-in patterns, run on real databases with all walls up.

use std::sync::Arc;
use std::time::Duration;

use loom_fabric::{Cell, Dialect, ExecutionBackend, QueryContext, QueryResult, Rendered, render};
use loom_fabric_sql::{PostgresBackend, SqlOptions, SqliteBackend};
use loom_patterns::{Pattern, Registry, Snapshot, Source as _, TemplateDialect};
use serde_json::{Map, Value, json};

use crate::proofs::{PROOFS, Proof};
use crate::support::{self, SqliteFile};

const SQLITE_SHOP: &str = concat!(include_str!("shop/sqlite.sql"), include_str!("shop/rows.sql"));
const POSTGRES_SHOP: &str = concat!(
    include_str!("shop/postgres.sql"),
    include_str!("shop/rows.sql"),
    include_str!("shop/postgres_keys.sql")
);

pub(crate) fn patterns() -> Arc<Snapshot> {
    let (registry, report) = Registry::with_built_in(loom_pattern_library::files().iter().copied());
    assert_eq!(report.errors, []);
    registry.snapshot()
}

/// What a pattern's example is given besides, where its own answer would be cut in the middle of equals, empty, or
/// crowded out by other tests of the same server.
fn adapted(pattern: &Pattern, example: &Map<String, Value>) -> Map<String, Value> {
    let besides = match pattern.name.as_str() {
        "recent_rows" => json!({"limit": 6}),
        "long_running_queries" => json!({"seconds": 0, "limit": 1000}),
        _ if pattern.domain == "postgres" => json!({"limit": 1000}),
        _ => json!({}),
    };
    let mut parameters = example.clone();
    parameters.extend(besides.as_object().unwrap().clone());
    parameters
}

fn runs_on(written_for: TemplateDialect, dialect: Dialect) -> bool {
    match written_for {
        TemplateDialect::Any => true,
        TemplateDialect::Sqlite => dialect == Dialect::Sqlite,
        TemplateDialect::Postgres => dialect == Dialect::Postgres,
    }
}

/// A template filled with an example's parameters.
struct Filled {
    name: String,
    rendered: Rendered,
}

impl Filled {
    async fn run(&self, backend: &dyn ExecutionBackend) -> QueryResult {
        let Rendered { sql, parameters } = &self.rendered;
        let result = backend.execute_query(sql, parameters, &QueryContext::default()).await;
        result.unwrap_or_else(|error| panic!("{}: {error}\n{sql}", self.name))
    }
}

/// Each template that is for the backend's engine with each example. None is left out.
async fn fill_all(backend: &dyn ExecutionBackend) -> Vec<Filled> {
    let dialect = backend.capabilities().dialect;
    let schema = backend.get_schema().await.unwrap();
    let mut filled = Vec::new();
    for pattern in patterns().iter() {
        for (key, template) in &pattern.templates {
            let name = format!("{}.{key}", pattern.name);
            let written_for = template.executable().unwrap_or_else(|reason| panic!("{name}: {reason}"));
            if !runs_on(written_for, dialect) {
                continue;
            }
            assert!(!pattern.examples.is_empty(), "{name} has no example to run it with");
            for example in &pattern.examples {
                let given = adapted(pattern, &example.parameters);
                let rendered = render(pattern, Some(key), &given, dialect, &schema);
                let rendered = rendered.unwrap_or_else(|error| panic!("{name} cannot be filled: {error}"));
                filled.push(Filled { name: name.clone(), rendered });
            }
        }
    }
    filled
}

/// Runs every template on the shop and proves its answer.
async fn prove_all(backend: &dyn ExecutionBackend, own_schema: &str) {
    for filled in fill_all(backend).await {
        let name = &filled.name;
        match PROOFS.iter().find(|(of, _)| of == name).map(|(_, proof)| proof) {
            Some(Proof::Holds(texts)) => until_held(backend, &filled, texts, own_schema).await,
            Some(Proof::Rows(sql)) => compare(name, &filled.run(backend).await, backend, sql).await,
            None => assert!(!filled.run(backend).await.rows.is_empty(), "{name} finds nothing in the shop"),
        }
        assert_sound(name, &filled.run(backend).await);
    }
}

/// Runs every template on tables without rows.
async fn run_all(backend: &dyn ExecutionBackend) {
    for filled in fill_all(backend).await {
        assert_sound(&filled.name, &filled.run(backend).await);
    }
}

fn assert_sound(name: &str, result: &QueryResult) {
    assert!(!result.columns.is_empty() && !result.truncated, "{name}: {result:?}");
    assert!(result.columns.iter().all(|column| !column.is_empty()), "{name}: {:?}", result.columns);
    assert!(result.rows.iter().all(|row| row.len() == result.columns.len()), "{name}: {:?}", result.rows);
}

/// The rows are those that the plain `sql` finds; the order among equals is the engine's own.
async fn compare(name: &str, found: &QueryResult, backend: &dyn ExecutionBackend, sql: &str) {
    let expected = backend.execute_query(sql, &[], &QueryContext::default()).await;
    let expected = expected.unwrap_or_else(|error| panic!("the proof of {name}: {error}"));
    let sorted = |result: &QueryResult| {
        let mut rows: Vec<Vec<String>> =
            result.rows.iter().map(|row| row.iter().map(comparable).collect()).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(sorted(found), sorted(&expected), "{name}");
}

/// A number to six places, whatever its type; else the value as it is shown.
pub(crate) fn comparable(cell: &Cell) -> String {
    match cell {
        Cell::Integer(number) => format!("{number}.000000"),
        Cell::Float(number) => format!("{number:.6}"),
        Cell::Decimal(text) => {
            text.parse::<f64>().map_or_else(|_| text.clone(), |number| format!("{number:.6}"))
        }
        other => format!("{other:?}"),
    }
}

/// Waits until some row holds all of `texts` beside the test's own schema: statistics of the server come when it likes.
async fn until_held(backend: &dyn ExecutionBackend, filled: &Filled, texts: &[&str], own_schema: &str) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let held = async {
        loop {
            let found = filled.run(backend).await.rows;
            let has = |row: &[Cell], text: &str| row.contains(&Cell::Text(text.to_owned()));
            let texts = || texts.iter().map(|text| text.replace("{schema}", own_schema));
            if found.iter().any(|row| texts().all(|text| has(row, &text))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, held).await;
    assert!(waited.is_ok(), "{} does not show {texts:?}: {:?}", filled.name, filled.run(backend).await.rows);
}

#[tokio::test]
async fn every_template_runs_on_sqlite() {
    let file = SqliteFile::new(SQLITE_SHOP).await;
    let backend = SqliteBackend::open("shop", &file.path(), SqlOptions::default(), support::clock()).await;
    prove_all(&backend.unwrap(), "").await;
}

#[tokio::test]
async fn every_template_runs_on_empty_tables_of_sqlite() {
    let file = SqliteFile::new(include_str!("shop/sqlite.sql")).await;
    let backend = SqliteBackend::open("shop", &file.path(), SqlOptions::default(), support::clock()).await;
    run_all(&backend.unwrap()).await;
}

#[tokio::test]
async fn every_template_runs_on_postgres() {
    support::in_schema(POSTGRES_SHOP, |sandbox| async move {
        // The server counts what a connection did at the latest when it ends.
        let mut user = sandbox.admin().await;
        let use_tables =
            "DELETE FROM \"Note\" WHERE \"Text\" LIKE '%1'; SELECT sum(\"Total\") FROM \"Invoice\"";
        sqlx::raw_sql(use_tables).execute(&mut user).await.unwrap();
        sqlx::Connection::close(user).await.unwrap();
        let mut sleeper = sandbox.admin().await;
        let asleep = tokio::spawn(async move {
            let _cut_off = sqlx::raw_sql("SELECT pg_sleep(60)").execute(&mut sleeper).await;
        });
        let backend =
            PostgresBackend::connect("shop", &sandbox.dsn, SqlOptions::default(), support::clock()).await;
        prove_all(&backend.unwrap(), &sandbox.schema).await;
        asleep.abort();
    })
    .await;
}

#[tokio::test]
async fn every_template_runs_on_empty_tables_of_postgres() {
    let empty = concat!(include_str!("shop/postgres.sql"), include_str!("shop/postgres_keys.sql"));
    support::in_schema(empty, |sandbox| async move {
        let backend =
            PostgresBackend::connect("shop", &sandbox.dsn, SqlOptions::default(), support::clock()).await;
        run_all(&backend.unwrap()).await;
    })
    .await;
}

#[test]
fn every_proof_is_of_a_template() {
    let patterns = patterns();
    for (name, _) in PROOFS {
        let (pattern, key) = name.split_once('.').unwrap();
        assert!(patterns.get(pattern).is_some_and(|found| found.templates.contains_key(key)), "{name}");
    }
}
