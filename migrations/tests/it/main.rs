//! The migrations, applied to real databases.

#![expect(clippy::expect_used, reason = "the parts shared by tests fail a test as a test does")]

use std::collections::{BTreeMap, BTreeSet};

use loom_migrations::{POSTGRES, SQLITE, SQLITE_SPANS, newest};
use loom_testkit::postgres_url;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

/// Tables by name, with their columns.
type Tables = BTreeMap<String, BTreeSet<String>>;

async fn sqlite() -> SqliteConnection {
    SqliteConnectOptions::new().in_memory(true).connect().await.expect("SQLite opens")
}

async fn sqlite_tables(migrator: &Migrator) -> Tables {
    let mut database = sqlite().await;
    migrator.run_direct(None, &mut database, false).await.expect("the migrations apply");
    let before = sqlite_state(&mut database).await;
    migrator.run_direct(None, &mut database, false).await.expect("the migrations apply again");
    assert_eq!(sqlite_state(&mut database).await, before, "the second run changes nothing");
    let columns = "
        SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let rows = sqlx::query(columns).fetch_all(&mut database).await.expect("the schema can be read");
    tables(rows.iter().map(|row| (row.get(0), row.get(1))))
}

/// The schema and what the migrations noted of themselves.
async fn sqlite_state(database: &mut SqliteConnection) -> Vec<String> {
    let state = "
        SELECT coalesce(sql, name) FROM sqlite_schema
        UNION ALL SELECT version || ' ' || installed_on FROM _sqlx_migrations";
    let rows = sqlx::query(state).fetch_all(database).await.expect("the schema can be read");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn postgres_tables(database: &mut PgConnection) -> Tables {
    POSTGRES.run_direct(None, &mut *database, false).await.expect("the migrations apply");
    let applied =
        "SELECT version::text || installed_on::text || checksum::text FROM _sqlx_migrations ORDER BY version";
    let before = sqlx::query(applied).fetch_all(&mut *database).await.expect("the notes can be read");
    POSTGRES.run_direct(None, &mut *database, false).await.expect("the migrations apply again");
    let after = sqlx::query(applied).fetch_all(&mut *database).await.expect("the notes can be read");
    let text = |rows: &[sqlx::postgres::PgRow]| rows.iter().map(|row| row.get(0)).collect::<Vec<String>>();
    assert_eq!(text(&before), text(&after), "the second run changes nothing");
    let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'";
    let rows = sqlx::query(columns).fetch_all(database).await.expect("the schema can be read");
    tables(rows.iter().map(|row| (row.get(0), row.get(1))))
}

fn tables(columns: impl Iterator<Item = (String, String)>) -> Tables {
    let mut tables = Tables::new();
    // What the migrator and the full-text index keep for themselves is theirs.
    for (table, column) in
        columns.filter(|(table, _)| table != "_sqlx_migrations" && !table.starts_with("messages_fts"))
    {
        tables.entry(table).or_default().insert(column);
    }
    tables
}

#[test]
fn the_numbers_are_the_same_and_without_gaps() {
    let numbers =
        |migrator: &Migrator| migrator.iter().map(|migration| migration.version).collect::<Vec<_>>();
    assert_eq!(numbers(&SQLITE), numbers(&POSTGRES));
    for migrator in [&SQLITE, &SQLITE_SPANS] {
        assert_eq!(numbers(migrator), (1..=newest(migrator)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn sqlite_has_the_promised_tables() {
    let tables = sqlite_tables(&SQLITE).await;
    let promised = [
        ("sessions", "id agent_id created_at last_active"),
        ("messages", "id session_id role content tokens"),
        ("observations", "id session_id trace_id hawk_reference"),
        ("tool_calls", "id message_id tool_name args result"),
        ("memory_state", "id session_id layer key value refcount"),
    ];
    for (table, columns) in promised {
        for column in columns.split(' ') {
            assert!(tables[table].contains(column), "{table} has no {column}: {:?}", tables[table]);
        }
    }
    assert_eq!(sqlite_tables(&SQLITE_SPANS).await.into_keys().collect::<Vec<_>>(), ["spans"]);
}

#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    let Some(url) = postgres_url().expect("nothing may be skipped") else { return };
    let options: PgConnectOptions = url.parse().expect("LOOM_TEST_POSTGRES_URL is a URL");
    let mut server = options.connect().await.expect("the server answers");
    // Of its own for each run, so that runs beside each other do not meet.
    let name = format!("loom_migrations_{}", std::process::id());
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(drop.clone())).execute(&mut server).await.expect("the server lets us");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut server)
        .await
        .expect("it is made");
    let found = tokio::spawn(async move {
        let mut database = options.database(&name).connect().await.expect("the database answers");
        let tables = postgres_tables(&mut database).await;
        database.close().await.expect("it closes");
        tables
    })
    .await;
    sqlx::query(AssertSqlSafe(drop)).execute(&mut server).await.expect("the database goes");
    let mut postgres = found.expect("the migrations apply");

    // The words of a message are a column there, and a virtual table here.
    assert!(postgres.get_mut("messages").is_some_and(|columns| columns.remove("words")));
    let mut sqlite = sqlite_tables(&SQLITE).await;
    sqlite.extend(sqlite_tables(&SQLITE_SPANS).await);
    assert_eq!(postgres, sqlite);
}
