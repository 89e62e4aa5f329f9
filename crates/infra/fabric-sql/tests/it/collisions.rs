//! A table or column may be called what a template calls its own: nothing changes but the name.

use loom_fabric::{Cell, ExecutionBackend, QueryContext, render};
use loom_fabric_sql::{PostgresBackend, SqlOptions, SqliteBackend};
use loom_patterns::Snapshot;
use serde_json::{Value, json};

use crate::patterns::patterns;
use crate::support::{self, SqliteFile};

/// Names that templates give to columns and to tables of their own.
const WORDS: &[&str] = &["count", "label", "month", "total", "value", "year"];

/// The four names of a table: the table, its measure, its name, its time.
pub(crate) type Names<'a> = [&'a str; 4];
const PLAIN: Names<'static> = ["plain", "amount", "kind", "day"];

fn table(names: Names<'_>) -> String {
    let [table, measure, label, time] = names;
    // The second column is there to be mistaken for what a template computes.
    format!(
        "CREATE TABLE \"{table}\" (id INTEGER PRIMARY KEY, \"{table}\" TEXT, \"{measure}\" NUMERIC(10, 2),
            \"{label}\" VARCHAR(20), \"{time}\" TIMESTAMP);
         INSERT INTO \"{table}\" VALUES (1, 'x', 10.5, 'a', '2024-01-05 00:00:00'), (2, 'y', 4, 'b', '2024-01-06 00:00:00'),
            (3, 'z', 3, 'a', '2024-02-07 00:00:00'), (4, 'x', 900, 'c', '2025-02-08 00:00:00'), (5, 'x', 4, 'a', NULL);"
    )
}

/// A table for each word in each role.
fn tables() -> Vec<[String; 4]> {
    let mut all = Vec::new();
    for word in WORDS {
        all.push([(*word).to_owned(), "amount".into(), "kind".into(), "day".into()]);
        all.push([format!("m_{word}"), (*word).to_owned(), "kind".into(), "day".into()]);
        // A column called label names its row, so it is grouped otherwise.
        if *word != "label" {
            all.push([format!("l_{word}"), "amount".into(), (*word).to_owned(), "day".into()]);
        }
        all.push([format!("t_{word}"), "amount".into(), "kind".into(), (*word).to_owned()]);
    }
    all
}

fn setup() -> String {
    let named = tables();
    let named = named.iter().map(|[table, measure, label, time]| [&**table, &**measure, &**label, &**time]);
    std::iter::once(PLAIN).chain(named).map(table).collect()
}

/// The parameters of the patterns that are about one table.
pub(crate) fn questions([table, measure, label, time]: Names<'_>) -> Vec<(&'static str, Value)> {
    let column = |name: &str| format!("{table}.{name}");
    let (measure, label, time) = (column(measure), column(label), column(time));
    let by = json!({"measure": measure, "label": label});
    let over = json!({"measure": measure, "time": time});
    vec![
        ("top_by_total", by.clone()),
        ("bottom_by_total", by.clone()),
        ("summary_by_group", by.clone()),
        ("top_by_average", json!({"measure": measure, "label": label, "min_rows": 1})),
        ("share_of_total", by.clone()),
        ("highest_values", by.clone()),
        ("lowest_values", by.clone()),
        ("outliers", json!({"measure": measure, "label": label, "deviations": 1})),
        ("rank_within_group", json!({"measure": measure, "label": format!("{table}.id"), "group": label})),
        ("measure_summary", json!({"measure": measure})),
        ("median", json!({"measure": measure})),
        ("trend_by_month", over.clone()),
        ("trend_by_year", over.clone()),
        ("running_total", over.clone()),
        ("period_change", over.clone()),
        ("rows_by_month", json!({"table": table, "time": time})),
        ("data_freshness", json!({"time": time})),
        ("count_by_group", json!({"table": table, "label": label})),
        ("top_by_count", json!({"table": table, "label": label})),
        ("distribution", json!({"column": label})),
        ("duplicates", json!({"column": label})),
        ("null_profile", json!({"column": time})),
        ("recent_rows", json!({"table": table, "time": time})),
        ("filter_by_value", json!({"table": table, "column": label, "value": "A"})),
        (
            "orphaned_rows",
            json!({"table": table, "column": label, "referenced_table": table, "referenced_column": column("id")}),
        ),
    ]
}

pub(crate) async fn ask(
    backend: &dyn ExecutionBackend,
    patterns: &Snapshot,
    (pattern, given): &(&str, Value),
) -> Result<Vec<Vec<Cell>>, String> {
    let (schema, dialect) = (backend.get_schema().await.unwrap(), backend.capabilities().dialect);
    let rendered = render(patterns.get(pattern).unwrap(), None, given.as_object().unwrap(), dialect, &schema);
    let rendered = rendered.map_err(|error| error.to_string())?;
    let found = backend.execute_query(&rendered.sql, &rendered.parameters, &QueryContext::default()).await;
    found.map(|found| found.rows).map_err(|error| error.to_string())
}

async fn compare(backend: &dyn ExecutionBackend, skipped: &[&str]) {
    let patterns = patterns();
    let mut problems = Vec::new();
    for question in questions(PLAIN).iter().filter(|(name, _)| !skipped.contains(name)) {
        let expected = ask(backend, &patterns, question).await;
        assert!(expected.as_ref().is_ok_and(|rows| !rows.is_empty()), "{question:?}: {expected:?}");
        for [table, measure, label, time] in tables() {
            let same = questions([&table, &measure, &label, &time]);
            let same = same.iter().find(|(name, _)| *name == question.0).unwrap();
            let found = ask(backend, &patterns, same).await;
            if found != expected {
                problems.push(format!("{same:?}: {found:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[tokio::test]
async fn names_of_templates_may_be_names_of_data_in_sqlite() {
    let file = SqliteFile::new(&setup()).await;
    let backend = SqliteBackend::open("words", &file.path(), SqlOptions::default(), support::clock()).await;
    compare(&backend.unwrap(), &[]).await;
}

#[tokio::test]
async fn names_of_templates_may_be_names_of_data_in_postgres() {
    support::in_schema(&setup(), |sandbox| async move {
        let backend =
            PostgresBackend::connect("words", &sandbox.dsn, SqlOptions::default(), support::clock()).await;
        // PostgreSQL compares no text with a number.
        compare(&backend.unwrap(), &["orphaned_rows"]).await;
    })
    .await;
}
