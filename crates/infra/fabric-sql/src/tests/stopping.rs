//! Engines are seen to stop.

use std::time::Duration;

use loom_fabric::{BackendErrorKind, ExecutionBackend, QueryContext, QueryLimits};

use super::support::{self, SqliteFile};
use crate::{SqlOptions, SqliteBackend};

/// Would count for hours.
const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

async fn open(file: &SqliteFile) -> SqliteBackend {
    let options = SqlOptions { max_connections: 1, ..SqlOptions::default() };
    SqliteBackend::open("notes", &file.path(), options, support::clock()).await.unwrap()
}

/// The engine's counter moves while it works; with the only connection answering again, it must stand still.
async fn assert_stopped(backend: &SqliteBackend) {
    let answer = backend.execute_query("SELECT 1", &[], &QueryContext::default()).await.unwrap();
    assert_eq!(answer.rows.len(), 1);
    let engine = backend.engine().unwrap();
    let looks = engine.looks();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(engine.looks(), looks, "the engine still works");
}

async fn until_working(backend: &SqliteBackend) {
    let engine = backend.engine().unwrap();
    let before = engine.looks();
    while engine.looks() < before + 10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_timeout_stops_sqlite() {
    let file = SqliteFile::new("CREATE TABLE t (a)").await;
    let backend = open(&file).await;
    let limits = QueryLimits { timeout: Duration::from_millis(100), ..QueryLimits::default() };
    let context = QueryContext { limits, ..QueryContext::default() };
    let error = backend.execute_query(ENDLESS, &[], &context).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::TimedOut);
    assert_stopped(&backend).await;
}

#[tokio::test]
async fn a_cancel_stops_sqlite() {
    let file = SqliteFile::new("CREATE TABLE t (a)").await;
    let backend = open(&file).await;
    let context = QueryContext::default();
    let (outcome, ()) = tokio::join!(backend.execute_query(ENDLESS, &[], &context), async {
        until_working(&backend).await;
        context.cancel.cancel();
    });
    assert_eq!(outcome.unwrap_err().kind, BackendErrorKind::Cancelled);
    assert_stopped(&backend).await;
}

#[tokio::test]
async fn a_dropped_caller_stops_sqlite() {
    let file = SqliteFile::new("CREATE TABLE t (a)").await;
    let backend = open(&file).await;
    let context = QueryContext::default();
    tokio::select! {
        outcome = backend.execute_query(ENDLESS, &[], &context) => panic!("it ended: {outcome:?}"),
        () = until_working(&backend) => {}
    }
    assert_stopped(&backend).await;
}

#[tokio::test]
async fn a_cap_stops_sqlite() {
    let file = SqliteFile::new("CREATE TABLE t (a)").await;
    let backend = open(&file).await;
    // The first row comes at once, the third one never.
    let sql = "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT * FROM (
        WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n)";
    let limits = QueryLimits { max_rows: 1, ..QueryLimits::default() };
    let answer =
        backend.execute_query(sql, &[], &QueryContext { limits, ..QueryContext::default() }).await.unwrap();
    assert!(answer.truncated && answer.rows.len() == 1);
    assert_stopped(&backend).await;
}

#[tokio::test]
async fn idle_connections_are_closed_beyond_the_limit() {
    let file = SqliteFile::new("CREATE TABLE t (a)").await;
    for (max_idle_connections, kept) in [(0, 0), (1, 1), (4, 3)] {
        let options = SqlOptions { max_connections: 3, max_idle_connections, ..SqlOptions::default() };
        let backend = SqliteBackend::open("notes", &file.path(), options, support::clock()).await.unwrap();
        let queries = (0..3).map(|_| async {
            let limits = QueryLimits { timeout: Duration::from_millis(50), ..QueryLimits::default() };
            let context = QueryContext { limits, ..QueryContext::default() };
            backend.execute_query(ENDLESS, &[], &context).await.unwrap_err()
        });
        futures::future::join_all(queries).await;
        assert_eq!(backend.engine().unwrap().idle_connections(), kept, "of {max_idle_connections}");
    }
}
