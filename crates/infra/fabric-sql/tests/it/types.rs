//! A measure may be of any numeric type and a time of any type of dates: the answers are the same.

use loom_fabric::{Cell, ExecutionBackend};
use loom_fabric_sql::{PostgresBackend, SqlOptions, SqliteBackend};

use crate::collisions::{ask, questions};
use crate::patterns::{comparable, patterns};
use crate::support::{self, SqliteFile};

const POSTGRES: &str = "
    CREATE DOMAIN cents AS numeric(10, 2);
    CREATE TABLE t (id int PRIMARY KEY, kind varchar(20), c char(3),
        int2 int2, int4 int4, int8 int8, numeric numeric(12, 3), float4 float4, float8 float8, domain cents,
        timestamp timestamp, timestamptz timestamptz, date date);
    INSERT INTO t SELECT id, kind, kind, n, n, n, n, n, n, n, day, day AT TIME ZONE 'UTC', day FROM (VALUES
        (1, 'a', 10, TIMESTAMP '2024-01-05'), (2, 'b', 4, '2024-01-06'), (3, 'a', 3, '2024-02-07'),
        (4, 'c', 900, '2025-02-08'), (5, 'a', 4, NULL), (6, 'a', NULL, '2025-02-08')) AS v (id, kind, n, day);";

const SQLITE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT, c, int4 INT, numeric DECIMAL(10, 2), float8 REAL, untyped,
        computed AS (int4 + 0), timestamp DATETIME, date DATE, text TEXT);
    INSERT INTO t SELECT column1, column2, column2, column3, column3, column3, column3, column4 || ' 00:00:00', column4, column4
    FROM (VALUES
        (1, 'a', 10, '2024-01-05'), (2, 'b', 4, '2024-01-06'), (3, 'a', 3, '2024-02-07'),
        (4, 'c', 900, '2025-02-08'), (5, 'a', 4, NULL), (6, 'a', NULL, '2025-02-08'));";

/// Each row with numbers and the beginnings of times in one form.
fn alike(rows: &[Vec<Cell>]) -> Vec<Vec<String>> {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) if text.starts_with("20") => text.chars().take(10).collect(),
        other => comparable(other),
    };
    rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

async fn compare(backend: &dyn ExecutionBackend, measures: &[&str], times: &[&str], skipped: &[&str]) {
    let patterns = patterns();
    let mut chosen: Vec<(&str, &str)> = measures.iter().map(|measure| (*measure, times[0])).collect();
    chosen.extend(times.iter().map(|time| (measures[0], *time)));
    let mut problems = Vec::new();
    for (index, (name, _)) in questions(["t", measures[0], "kind", times[0]]).iter().enumerate() {
        if skipped.contains(name) {
            continue;
        }
        let mut expected = None;
        // Each measure with the first time, and each time with the first measure.
        for (measure, time) in chosen.iter().copied() {
            let question = questions(["t", measure, "kind", time]).swap_remove(index);
            let found = ask(backend, &patterns, &question).await.map(|rows| alike(&rows));
            let expected = expected.get_or_insert_with(|| found.clone());
            if found.is_err() || found != *expected {
                problems.push(format!("{question:?}: {found:?} and not {expected:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[tokio::test]
async fn in_sqlite() {
    let file = SqliteFile::new(SQLITE).await;
    let backend = SqliteBackend::open("t", &file.path(), SqlOptions::default(), support::clock()).await;
    let measures = ["numeric", "int4", "float8", "untyped", "computed"];
    compare(&backend.unwrap(), &measures, &["timestamp", "date", "text"], &[]).await;
}

#[tokio::test]
async fn in_postgres() {
    support::in_schema(POSTGRES, |sandbox| async move {
        let backend =
            PostgresBackend::connect("t", &sandbox.dsn, SqlOptions::default(), support::clock()).await;
        let measures = ["numeric", "int2", "int4", "int8", "float4", "float8", "domain"];
        // PostgreSQL compares no text with a number.
        compare(&backend.unwrap(), &measures, &["timestamp", "timestamptz", "date"], &["orphaned_rows"])
            .await;
    })
    .await;
}
