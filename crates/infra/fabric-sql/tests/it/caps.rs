//! Both engines: every attack is refused, caps are kept, parameters are counted.

use std::time::Duration;

use loom_fabric::{BackendErrorKind, Cell, ExecutionBackend, QueryContext, QueryLimits};
use loom_fabric_sql::{PostgresBackend, SqlOptions, SqliteBackend};

use crate::attacks::{self, Attack};
use crate::support::{self, SqliteFile};

fn limited(max_rows: usize, max_bytes: usize) -> QueryContext {
    let limits = QueryLimits { max_rows, max_bytes, timeout: Duration::from_secs(20) };
    QueryContext { limits, ..QueryContext::default() }
}

async fn refuses(backend: &impl ExecutionBackend, attacks: &[Attack]) {
    assert!(attacks.len() >= 30);
    for (sql, _) in attacks {
        let outcome = backend.execute_query(sql, &[], &limited(10, 1_000)).await;
        let error = outcome.expect_err(sql);
        assert_eq!(error.kind, BackendErrorKind::Refused, "{sql}: {error}");
    }
    assert_eq!(query(backend, "SELECT count(*) FROM notes", &limited(1, 100)).await, [[Cell::Integer(2)]]);
}

async fn query(backend: &impl ExecutionBackend, sql: &str, context: &QueryContext) -> Vec<Vec<Cell>> {
    backend.execute_query(sql, &[], context).await.unwrap().rows
}

/// 1,000 rows of a number and a text of ten letters.
async fn keeps_caps(backend: &impl ExecutionBackend, thousand: &str) {
    let all = backend.execute_query(thousand, &[], &limited(1_000, 1 << 20)).await.unwrap();
    assert_eq!((all.rows.len(), all.truncated), (1_000, false));
    let some = backend.execute_query(thousand, &[], &limited(300, 1 << 20)).await.unwrap();
    assert_eq!((some.rows.len(), some.truncated), (300, true));
    assert_eq!(some.rows, all.rows[..300]);
    let few = backend.execute_query(thousand, &[], &limited(1_000, 5 * 18 + 1)).await.unwrap();
    assert_eq!((few.rows.len(), few.truncated), (5, true));
    let none = backend.execute_query(thousand, &[], &limited(1_000, 3)).await.unwrap();
    assert_eq!((none.rows.len(), none.truncated, none.columns.len()), (0, true, 2));
    let zero = backend.execute_query(thousand, &[], &limited(0, 100)).await.unwrap();
    assert_eq!((zero.rows.len(), zero.truncated), (0, true));
}

async fn counts_parameters(backend: &impl ExecutionBackend, two: &str) {
    let given = [Cell::Integer(1), Cell::Text("x".into()), Cell::Null];
    for count in [0, 1, 3] {
        let error = backend.execute_query(two, &given[..count], &limited(1, 100)).await.unwrap_err();
        assert!(error.message.contains("takes 2 parameters"), "{error}");
    }
    let row = backend.execute_query(two, &given[..2], &limited(1, 100)).await.unwrap().rows;
    assert_eq!(row, [[Cell::Integer(1), Cell::Text("x".into())]]);
}

async fn names_columns_without_rows(backend: &impl ExecutionBackend) {
    let empty = "SELECT id, body AS text FROM notes WHERE id < 0";
    let answer = backend.execute_query(empty, &[], &limited(1, 100)).await.unwrap();
    assert_eq!(
        (answer.columns, answer.rows.len(), answer.truncated),
        (vec!["id".into(), "text".into()], 0, false)
    );
    let error = backend.execute_query("SELECT nothing FROM notes", &[], &limited(1, 100)).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Failed);
    assert!(error.message.contains("nothing"), "{error}");
}

#[tokio::test]
async fn sqlite() {
    let file = SqliteFile::new(attacks::SQLITE_SETUP).await;
    let options = SqlOptions { max_connections: 1, ..SqlOptions::default() };
    let backend = SqliteBackend::open("notes", &file.path(), options, support::clock()).await.unwrap();
    refuses(&backend, attacks::SQLITE).await;
    keeps_caps(
        &backend,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         SELECT i, 'ten letter' AS word FROM n",
    )
    .await;
    counts_parameters(&backend, "SELECT ?1, ?2").await;
    counts_parameters(&backend, "SELECT ?, ?").await;
    names_columns_without_rows(&backend).await;
    let plan = query(&backend, "EXPLAIN QUERY PLAN SELECT * FROM notes", &limited(10, 1_000)).await;
    assert!(!plan.is_empty());
}

#[tokio::test]
async fn postgres() {
    support::in_schema(attacks::POSTGRES_SETUP, |sandbox| async move {
        let options = SqlOptions { max_connections: 1, ..SqlOptions::default() };
        let backend =
            PostgresBackend::connect("notes", &sandbox.dsn, options, support::clock()).await.unwrap();
        refuses(&backend, attacks::POSTGRES).await;
        for sql in attacks::POSTGRES_READS {
            let answer = backend.execute_query(sql, &[], &limited(10, 10_000)).await;
            assert!(answer.is_ok_and(|answer| !answer.rows.is_empty()), "{sql}");
        }
        keeps_caps(&backend, "SELECT i, 'ten letter' AS word FROM generate_series(1::int8, 1000) AS n (i)")
            .await;
        counts_parameters(&backend, "SELECT $1::int, $2").await;
        names_columns_without_rows(&backend).await;
        for plan in ["EXPLAIN SELECT * FROM notes", "EXPLAIN (FORMAT JSON, COSTS OFF) SELECT * FROM notes"] {
            assert!(!query(&backend, plan, &limited(10, 10_000)).await.is_empty());
        }
        backend.close().await;
    })
    .await;
}
