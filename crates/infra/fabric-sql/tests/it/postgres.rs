//! PostgreSQL: values, parameters, schema, and a server that is seen to stop.

use std::time::Duration;

use loom_fabric::{
    BackendErrorKind, Cell, ExecutionBackend, ForeignKey, QueryContext, QueryLimits, ResourceKind, TypeClass,
};
use loom_fabric_sql::{PostgresBackend, SqlOptions};
use serde_json::json;

use crate::support::{self, Sandbox};

async fn connect(sandbox: &Sandbox) -> PostgresBackend {
    let options = SqlOptions { max_connections: 1, ..SqlOptions::default() };
    PostgresBackend::connect("data", &sandbox.dsn, options, support::clock()).await.unwrap()
}

async fn ask(backend: &PostgresBackend, sql: &str, parameters: &[Cell]) -> Vec<Vec<Cell>> {
    backend.execute_query(sql, parameters, &QueryContext::default()).await.unwrap().rows
}

fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

#[tokio::test]
async fn values_keep_their_types() {
    const SETUP: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE DOMAIN positive AS int CHECK (value > 0);
        CREATE TYPE pair AS (a int, b text);";
    support::in_schema(SETUP, |sandbox| async move {
        let backend = connect(&sandbox).await;
        let values = [
            ("true", Cell::Bool(true)),
            ("7::int2", Cell::Integer(7)),
            ("-8::int8", Cell::Integer(-8)),
            ("1.5::float8", Cell::Float(1.5)),
            ("'NaN'::float8", text("NaN")),
            ("49.60::numeric(10,2)", Cell::Decimal("49.60".into())),
            ("12345678901234567890.123456789", Cell::Decimal("12345678901234567890.123456789".into())),
            ("'NaN'::numeric", text("NaN")),
            ("'é'::text", text("é")),
            ("'ab'::char(4)", text("ab  ")),
            ("'n'::name", text("n")),
            ("DATE '2024-02-29'", text("2024-02-29")),
            ("TIME '01:02:03.5'", text("01:02:03.5")),
            ("TIMESTAMP '2024-02-29 01:02:03.25'", text("2024-02-29T01:02:03.25")),
            ("TIMESTAMPTZ '2024-02-29 01:02:03+02'", text("2024-02-28T23:02:03Z")),
            ("INTERVAL '1 day 2 hours'", text("1 day 02:00:00")),
            ("'6f3a0c52-1b7e-4a52-9d3f-0a1b2c3d4e5f'::uuid", text("6f3a0c52-1b7e-4a52-9d3f-0a1b2c3d4e5f")),
            ("'{\"a\": [1, null]}'::json", Cell::Json(json!({"a": [1, null]}))),
            ("'{\"b\": 2.5}'::jsonb", Cell::Json(json!({"b": 2.5}))),
            ("ARRAY[1, NULL, 3]", Cell::Json(json!([1, null, 3]))),
            ("ARRAY['a,b', '\"']", Cell::Json(json!(["a,b", "\""]))),
            ("'\\x00ff'::bytea", Cell::Bytes(vec![0, 255])),
            ("'10.0.0.1/8'::inet", text("10.0.0.1/8")),
            ("'[1,5)'::int4range", text("[1,5)")),
            ("'ok'::mood", text("ok")),
            ("ARRAY['ok'::mood]", text("{ok}")),
            ("5::positive", Cell::Integer(5)),
            ("ROW(1, 'x')::pair", text("(1,x)")),
            ("'a b'::tsvector", text("'a' 'b'")),
            ("POINT '(1,2)'", text("(1,2)")),
            ("NULL::int", Cell::Null),
        ];
        for (expression, value) in values {
            assert_eq!(ask(&backend, &format!("SELECT {expression}"), &[]).await, [[value]], "{expression}");
        }
        backend.close().await;
    })
    .await;
}

#[tokio::test]
async fn parameters_take_the_types_they_are_compared_with() {
    const SETUP: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE t (n int, small int2, big int8, amount numeric, ratio float8, day date, at timestamptz,
                        id uuid, feeling mood, code char(4), doc jsonb, raw bytea, flag bool, words text);
        INSERT INTO t VALUES (5, 5, 5, 2.5, 2.5, '2024-02-29', '2024-02-29 12:00+00',
            '6f3a0c52-1b7e-4a52-9d3f-0a1b2c3d4e5f', 'ok', 'abcd', '[1]', '\\x01', true, 'it''s');";
    support::in_schema(SETUP, |sandbox| async move {
        let backend = connect(&sandbox).await;
        let found = [
            ("n = $1", Cell::Integer(5)),
            ("n < $1", Cell::Float(5.5)),
            ("n < $1", Cell::Decimal("5.5".into())),
            ("n < $1", Cell::Integer(1 << 40)),
            ("small = $1", Cell::Integer(5)),
            ("big = $1", Cell::Integer(5)),
            ("amount = $1", Cell::Decimal("2.50".into())),
            ("amount < $1", Cell::Integer(3)),
            ("ratio = $1", Cell::Float(2.5)),
            ("day = $1", text("2024-02-29")),
            ("day >= $1 AND day <= $1", text("2024-02-29")),
            ("at < $1", text("2024-03-01")),
            ("id = $1", text("6f3a0c52-1b7e-4a52-9d3f-0a1b2c3d4e5f")),
            ("feeling = $1", text("ok")),
            ("code = $1", text("abcd")),
            ("doc @> $1", Cell::Json(json!([1]))),
            ("raw = $1", Cell::Bytes(vec![1])),
            ("flag = $1", Cell::Bool(true)),
            ("words = $1", text("it's")),
            ("words LIKE $1 || '%'", text("it")),
            ("$1::int IS NULL", Cell::Null),
            ("n = ANY (string_to_array($1, ',')::int[])", text("4,5")),
        ];
        for (condition, parameter) in found {
            let sql = format!("SELECT count(*) FROM t WHERE {condition}");
            let rows = ask(&backend, &sql, std::slice::from_ref(&parameter)).await;
            assert_eq!(rows, [[Cell::Integer(1)]], "{condition} with {parameter:?}");
        }
        assert_eq!(ask(&backend, "SELECT n FROM t LIMIT $1", &[Cell::Integer(0)]).await.len(), 0);
        let wrong = backend
            .execute_query("SELECT 1 FROM t WHERE day = $1", &[text("soon")], &QueryContext::default())
            .await;
        assert_eq!(wrong.unwrap_err().kind, BackendErrorKind::Failed);
        backend.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_schema_is_found() {
    const SETUP: &str = "CREATE DOMAIN cents AS numeric(10, 2);
        CREATE TABLE customers (id int PRIMARY KEY, name varchar(40) NOT NULL, vip bool, since timestamptz, notes jsonb);
        CREATE TABLE products (sku text, region text, price cents, PRIMARY KEY (region, sku));
        CREATE TABLE lines (id int8 PRIMARY KEY, customer int REFERENCES customers, sku text, region text,
            FOREIGN KEY (sku, region) REFERENCES products (sku, region));
        CREATE VIEW vips AS SELECT name FROM customers WHERE vip;
        CREATE TABLE events (day date) PARTITION BY RANGE (day);
        CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 70) i;
        ANALYZE customers;";
    support::in_schema(SETUP, |sandbox| async move {
        let schema = connect(&sandbox).await.get_schema().await.unwrap();
        let own: Vec<_> = schema.tables.iter().filter(|table| table.resource.namespace.is_none()).collect();
        let names: Vec<_> = own.iter().map(|table| table.resource.name.as_str()).collect();
        assert_eq!(names, ["customers", "events", "lines", "products", "vips"]);
        let customers = schema.table("customers").unwrap();
        assert_eq!(customers.resource.row_estimate, Some(70));
        let columns: Vec<_> = customers
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.data_type.as_str(), column.class, column.nullable))
            .collect();
        let expected = [
            ("id", "integer", TypeClass::Integer, false),
            ("name", "character varying(40)", TypeClass::Text, false),
            ("vip", "boolean", TypeClass::Boolean, true),
            ("since", "timestamp with time zone", TypeClass::Time, true),
            ("notes", "jsonb", TypeClass::Other, true),
        ];
        assert_eq!(columns, expected);
        let products = schema.table("products").unwrap();
        assert_eq!(products.primary_key, ["region", "sku"]);
        assert_eq!(products.column("price").unwrap().class, TypeClass::Number);
        let key = |columns: &[&str], table: &str, referred: &[&str]| ForeignKey {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            references_namespace: None,
            references_table: table.to_owned(),
            references_columns: referred.iter().map(|name| (*name).to_owned()).collect(),
        };
        let keys = [
            key(&["customer"], "customers", &["id"]),
            key(&["sku", "region"], "products", &["sku", "region"]),
        ];
        assert_eq!(schema.table("lines").unwrap().foreign_keys, keys);
        assert_eq!(schema.table("vips").unwrap().resource.kind, ResourceKind::View);
    })
    .await;
}

/// Would compute for hours.
const ENDLESS: &str =
    "SELECT sum(a.i * b.i) FROM generate_series(1, 1000000) a (i), generate_series(1, 1000000) b (i)";

/// The number of the server process behind the backend's only connection.
async fn process(backend: &PostgresBackend) -> i32 {
    match ask(backend, "SELECT pg_backend_pid()", &[]).await[0][0] {
        Cell::Integer(process) => i32::try_from(process).unwrap(),
        ref other => panic!("{other:?}"),
    }
}

/// Waits until the server says that `process` fetches rows, or that it is idle.
async fn until(sandbox: &Sandbox, process: i32, state: &str) {
    let mut admin = sandbox.admin().await;
    loop {
        let now: String = sqlx::query_scalar(
            "SELECT CASE WHEN state = 'active' AND query LIKE 'FETCH%' THEN 'fetching' ELSE state END
             FROM pg_stat_activity WHERE pid = $1",
        )
        .bind(process)
        .fetch_one(&mut admin)
        .await
        .unwrap();
        if now == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The server is idle, and the same connection serves the next query.
async fn assert_stopped(sandbox: &Sandbox, backend: &PostgresBackend, before: i32) {
    tokio::time::timeout(Duration::from_secs(5), until(sandbox, before, "idle"))
        .await
        .expect("it still works");
    assert_eq!(process(backend).await, before);
}

#[tokio::test]
async fn a_timeout_stops_the_server() {
    support::in_schema("SELECT 1", |sandbox| async move {
        let backend = connect(&sandbox).await;
        let process = process(&backend).await;
        let limits = QueryLimits { timeout: Duration::from_millis(300), ..QueryLimits::default() };
        let context = QueryContext { limits, ..QueryContext::default() };
        let error = backend.execute_query(ENDLESS, &[], &context).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::TimedOut, "{error}");
        assert_stopped(&sandbox, &backend, process).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancel_stops_the_server() {
    support::in_schema("SELECT 1", |sandbox| async move {
        let backend = connect(&sandbox).await;
        let process = process(&backend).await;
        let context = QueryContext::default();
        let (outcome, ()) = tokio::join!(backend.execute_query(ENDLESS, &[], &context), async {
            until(&sandbox, process, "fetching").await;
            context.cancel.cancel();
        });
        assert_eq!(outcome.unwrap_err().kind, BackendErrorKind::Cancelled);
        assert_stopped(&sandbox, &backend, process).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_caller_stops_the_server() {
    support::in_schema("SELECT 1", |sandbox| async move {
        let backend = connect(&sandbox).await;
        let process = process(&backend).await;
        let context = QueryContext::default();
        tokio::select! {
            outcome = backend.execute_query(ENDLESS, &[], &context) => panic!("it ended: {outcome:?}"),
            () = until(&sandbox, process, "fetching") => {}
        }
        assert_stopped(&sandbox, &backend, process).await;
    })
    .await;
}

#[tokio::test]
async fn a_cap_stops_the_server() {
    support::in_schema("SELECT 1", |sandbox| async move {
        let backend = connect(&sandbox).await;
        let process = process(&backend).await;
        // Wide rows come at once, then none for hours.
        let sql = "SELECT repeat('x', 100000) FROM generate_series(1, 100) UNION ALL
            SELECT sum(a.i * b.i)::text FROM generate_series(1, 1000000) a (i), generate_series(1, 1000000) b (i)";
        let limits = QueryLimits { max_bytes: 250_000, ..QueryLimits::default() };
        let context = QueryContext { limits, ..QueryContext::default() };
        let answer = backend.execute_query(sql, &[], &context).await.unwrap();
        assert!(answer.truncated && answer.rows.len() == 2);
        assert_stopped(&sandbox, &backend, process).await;
    })
    .await;
}

#[tokio::test]
async fn the_servers_own_timeout_is_set() {
    support::in_schema("SELECT 1", |sandbox| async move {
        let backend = connect(&sandbox).await;
        let limits = QueryLimits { timeout: Duration::from_millis(12_345), ..QueryLimits::default() };
        let context = QueryContext { limits, ..QueryContext::default() };
        let setting = "SELECT current_setting('statement_timeout')";
        let answer = backend.execute_query(setting, &[], &context).await.unwrap();
        assert_eq!(answer.rows, [[text("12345ms")]]);
    })
    .await;
}
