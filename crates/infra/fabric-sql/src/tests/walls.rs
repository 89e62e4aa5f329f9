//! Each attack against each wall that should stop it, with the other walls down.

use std::time::Duration;

use loom_fabric::{BackendErrorKind, ExecutionBackend, QueryContext, QueryLimits};
use sqlx::{Connection as _, PgConnection};

use super::attacks::{self, Wall};
use super::support::{self, Sandbox, SqliteFile};
use crate::walls::Walls;
use crate::{PostgresBackend, SharedPools, SqlOptions, SqliteBackend};

const NO_WALLS: Walls = Walls { parser: false, functions: false, connection: false };

fn only(wall: Wall) -> Walls {
    Walls {
        parser: wall == Wall::Parser,
        functions: wall == Wall::Functions,
        connection: wall == Wall::Connection,
    }
}

fn context() -> QueryContext {
    let limits = QueryLimits { timeout: Duration::from_secs(5), ..QueryLimits::default() };
    QueryContext { limits, ..QueryContext::default() }
}

async fn sqlite(walls: Walls, file: &SqliteFile) -> SqliteBackend {
    let pools = SharedPools::new(support::clock());
    pools.sqlite_behind(walls, "notes".into(), &file.path(), SqlOptions::default()).await.unwrap()
}

async fn postgres(walls: Walls, sandbox: &Sandbox) -> PostgresBackend {
    let pools = SharedPools::new(support::clock());
    pools.postgres_behind(walls, "notes".into(), &sandbox.dsn, SqlOptions::default()).await.unwrap()
}

/// Refused before it ran.
async fn assert_refused(backend: &impl ExecutionBackend, wall: Wall, sql: &str) {
    let outcome = backend.execute_query(sql, &[], &context()).await;
    let kind = outcome.as_ref().map_err(|error| error.kind);
    assert_eq!(kind.err(), Some(BackendErrorKind::Refused), "{wall:?} alone: {sql}: {outcome:?}");
}

/// Everything in the SQLite file, and the files beside it.
async fn sqlite_state(file: &SqliteFile) -> String {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file.path()).read_only(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let schema: Vec<(String,)> = sqlx::query_as("SELECT coalesce(sql, name) FROM sqlite_schema")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let notes: Result<Vec<(i64, String)>, _> =
        sqlx::query_as("SELECT id, body FROM notes").fetch_all(&mut connection).await;
    let files = std::fs::read_dir(file.folder()).unwrap().count();
    format!("{schema:?} {:?} {files}", notes.ok())
}

#[tokio::test]
async fn sqlite_walls_hold_alone() {
    for (sql, stopped_by) in attacks::SQLITE {
        for wall in *stopped_by {
            let file = SqliteFile::new(attacks::SQLITE_SETUP).await;
            let backend = sqlite(only(*wall), &file).await;
            if *wall == Wall::Connection {
                let before = sqlite_state(&file).await;
                let _refused_or_without_effect = backend.execute_query(sql, &[], &context()).await;
                assert_eq!(sqlite_state(&file).await, before, "{wall:?} alone: {sql}");
            } else {
                assert_refused(&backend, *wall, sql).await;
            }
            backend.close().await;
        }
    }
}

#[tokio::test]
async fn sqlite_without_walls_is_open() {
    for sql in ["DELETE FROM notes", "SELECT 1; DELETE FROM notes", "WITH x AS (SELECT 1) DELETE FROM notes"]
    {
        let file = SqliteFile::new(attacks::SQLITE_SETUP).await;
        let before = sqlite_state(&file).await;
        let backend = sqlite(NO_WALLS, &file).await;
        backend.execute_query(sql, &[], &context()).await.unwrap();
        assert_ne!(sqlite_state(&file).await, before, "{sql}");
    }
    let file = SqliteFile::new(attacks::SQLITE_SETUP).await;
    let blob = sqlite(NO_WALLS, &file).await;
    blob.execute_query("SELECT length(zeroblob(9))", &[], &context()).await.unwrap();
}

/// What attacks could change: rows, tables, the sequence, large objects, locks.
async fn postgres_state(admin: &mut PgConnection) -> String {
    const STATE: &str = "SELECT concat_ws(' | ',
        (SELECT string_agg(n::text, ',' ORDER BY id) FROM notes n),
        (SELECT string_agg(c.relname || c.relacl::text, ',' ORDER BY c.relname) FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace),
        (SELECT string_agg(a.attname, ',' ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = 'notes'::regclass),
        (SELECT last_value::text || is_called FROM ids),
        (SELECT count(*) FROM pg_largeobject_metadata WHERE oid IN (70411, 70412)),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 'notes'::regclass::oid))";
    sqlx::query_scalar(STATE).fetch_one(admin).await.unwrap()
}

#[tokio::test]
async fn postgres_parser_and_functions_hold_alone() {
    support::in_schema(attacks::POSTGRES_SETUP, |sandbox| async move {
        let mut admin = sandbox.admin().await;
        for wall in [Wall::Parser, Wall::Functions] {
            let backend = postgres(only(wall), &sandbox).await;
            let before = postgres_state(&mut admin).await;
            for (sql, _) in attacks::POSTGRES.iter().filter(|(_, stopped_by)| stopped_by.contains(&wall)) {
                assert_refused(&backend, wall, sql).await;
                assert_eq!(postgres_state(&mut admin).await, before, "{wall:?} alone: {sql}");
            }
            for sql in attacks::POSTGRES_READS {
                backend.execute_query(sql, &[], &context()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            }
            let qualified = format!("SELECT {}.write_note()", sandbox.schema);
            if wall == Wall::Functions {
                assert_refused(&backend, wall, &qualified).await;
            }
            backend.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn postgres_connection_holds_alone() {
    support::in_schema(attacks::POSTGRES_SETUP, |sandbox| async move {
        let mut admin = sandbox.admin().await;
        // One connection: what an attack leaves behind in its session meets the next query.
        let options = SqlOptions { max_connections: 1, ..SqlOptions::default() };
        let pools = SharedPools::new(support::clock());
        let walls = only(Wall::Connection);
        let backend = pools.postgres_behind(walls, "notes".into(), &sandbox.dsn, options).await.unwrap();
        let before = postgres_state(&mut admin).await;
        let session = "SELECT current_setting('transaction_read_only'), current_setting('search_path'),
                       (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors)";
        let usual = backend.execute_query(session, &[], &context()).await.unwrap().rows;
        for (sql, _) in attacks::POSTGRES.iter().filter(|(_, by)| by.contains(&Wall::Connection)) {
            let _refused_or_without_effect = backend.execute_query(sql, &[], &context()).await;
            assert_eq!(postgres_state(&mut admin).await, before, "connection alone: {sql}");
            let next = backend.execute_query(session, &[], &context()).await.unwrap().rows;
            assert_eq!(next, usual, "the session after: {sql}");
        }
        let error = backend.execute_query("SELECT write_note()", &[], &context()).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Refused);
        backend.close().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_without_walls_is_open() {
    support::in_schema(attacks::POSTGRES_SETUP, |sandbox| async move {
        let mut admin = sandbox.admin().await;
        let backend = postgres(NO_WALLS, &sandbox).await;
        let mut states = vec![postgres_state(&mut admin).await];
        for sql in [
            "SELECT write_note()",
            "SELECT n.touch FROM notes n",
            "SELECT * FROM sneaky",
            "SELECT 1::tagged",
            "SELECT substring(ROW(1)::tagged, 1)",
            "SELECT ROW(1)::tagged LIKE 1",
            "SELECT one_tag() BETWEEN 1 AND 1",
            "SELECT c.run_text FROM concat('SELECT write_note()') AS c",
            "SELECT (id).touch_id FROM notes",
            "SELECT ('ids'::regclass).nextval",
            "SELECT 1 <~> 2",
            "SELECT write_all(id) FROM notes",
            "SELECT U&\"\\0077rite_note\"()",
            "SELECT 1 --\r, write_note()",
            "SELECT nextval('ids')",
            "SELECT pg_advisory_lock('notes'::regclass::oid::int8)",
            "EXPLAIN ANALYZE DELETE FROM notes",
        ] {
            backend.execute_query(sql, &[], &context()).await.unwrap();
            states.push(postgres_state(&mut admin).await);
            assert_ne!(states[states.len() - 2], states[states.len() - 1], "{sql}");
        }
        backend.close().await;
    })
    .await;
}
