//! SQLite: values, schema, files that may not be opened, pools.

use std::time::Duration;

use loom_fabric::{
    BackendErrorKind, Cell, ExecutionBackend, ForeignKey, QueryContext, ResourceKind, Schema, TableFilter,
    TypeClass,
};
use loom_fabric_sql::{SharedPools, SqlOptions, SqlSource, SqliteBackend};

use crate::support::{self, SqliteFile};

const SHOP: &str = "
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name NVARCHAR(40) NOT NULL, vip BOOLEAN, since DATETIME);
    CREATE TABLE products (sku TEXT, region TEXT, price NUMERIC(10,2), PRIMARY KEY (region, sku)) WITHOUT ROWID;
    CREATE TABLE lines (
        id INTEGER PRIMARY KEY, customer INTEGER REFERENCES Customers, sku TEXT, region TEXT, photo BLOB,
        total AS (id * 2),
        FOREIGN KEY (sku, region) REFERENCES products (sku, region));
    CREATE VIEW vips AS SELECT name FROM customers WHERE vip;
    CREATE VIEW broken AS SELECT * FROM missing;
    CREATE VIRTUAL TABLE search USING fts5(body);
    INSERT INTO customers VALUES (1, 'Ada', 1, '2024-02-29 12:00:00'), (2, 'Bob', 0, NULL), (3, 'Cy', 7, 5);
    INSERT INTO products VALUES ('a', 'eu', 0.99), ('b', 'eu', 12), ('c', 'eu', 'cheap');
    CREATE TABLE analyzed (a);
    CREATE INDEX analyzed_a ON analyzed (a);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO analyzed SELECT i FROM n;
    ANALYZE analyzed;
    DELETE FROM analyzed WHERE a > 10;";

async fn open(file: &SqliteFile, options: SqlOptions) -> SqliteBackend {
    SqliteBackend::open("shop", &file.path(), options, support::clock()).await.unwrap()
}

async fn ask(backend: &SqliteBackend, sql: &str, parameters: &[Cell]) -> Vec<Vec<Cell>> {
    backend.execute_query(sql, parameters, &QueryContext::default()).await.unwrap().rows
}

#[tokio::test]
async fn values_keep_their_types() {
    let file = SqliteFile::new(SHOP).await;
    let backend = open(&file, SqlOptions::default()).await;
    let text = |text: &str| Cell::Text(text.into());
    let customers = ask(&backend, "SELECT * FROM customers ORDER BY id", &[]).await;
    assert_eq!(customers[0], [Cell::Integer(1), text("Ada"), Cell::Bool(true), text("2024-02-29 12:00:00")]);
    assert_eq!(customers[1], [Cell::Integer(2), text("Bob"), Cell::Bool(false), Cell::Null]);
    assert_eq!(customers[2], [Cell::Integer(3), text("Cy"), Cell::Integer(7), Cell::Integer(5)]);
    let prices = ask(&backend, "SELECT price FROM products ORDER BY sku", &[]).await;
    assert_eq!(prices, [[Cell::Float(0.99)], [Cell::Integer(12)], [text("cheap")]]);
    let odd = ask(&backend, "SELECT x'00ff', CAST(x'ff61' AS TEXT), '', x'', 9223372036854775807", &[]).await;
    let bytes = |bytes: &[u8]| Cell::Bytes(bytes.into());
    let expected = [bytes(&[0, 255]), bytes(&[255, 97]), text(""), bytes(&[]), Cell::Integer(i64::MAX)];
    assert_eq!(odd, [expected]);
}

#[tokio::test]
async fn parameters_come_back_as_they_went() {
    let file = SqliteFile::new(SHOP).await;
    let backend = open(&file, SqlOptions::default()).await;
    let given = [
        Cell::Null,
        Cell::Integer(-7),
        Cell::Float(0.1),
        Cell::Text("'; DROP TABLE customers; --".into()),
        Cell::Bytes(vec![0, 1]),
    ];
    assert_eq!(ask(&backend, "SELECT ?1, ?2, ?3, ?4, ?5", &given).await, [given]);
    let others = [
        Cell::Bool(true),
        Cell::Decimal("2.5".into()),
        Cell::Decimal("12345678901234567890.5".into()),
        Cell::Json(serde_json::json!([1])),
    ];
    let types = ask(&backend, "SELECT typeof(?), typeof(?), typeof(?), typeof(?)", &others).await;
    let names = ["integer", "real", "text", "text"].map(|name| Cell::Text(name.into()));
    assert_eq!(types, [names]);
}

fn column(schema: &Schema, table: &str, column: &str) -> (TypeClass, bool) {
    let column = schema.table(table).unwrap().column(column).unwrap();
    (column.class, column.nullable)
}

#[tokio::test]
async fn the_schema_is_found() {
    let file = SqliteFile::new(SHOP).await;
    let backend = open(&file, SqlOptions::default()).await;
    let schema = backend.get_schema().await.unwrap();
    let listed: Vec<_> = schema.tables.iter().map(|table| table.resource.name.as_str()).collect();
    assert_eq!(listed, ["analyzed", "broken", "customers", "lines", "products", "search", "vips"]);
    assert_eq!(column(&schema, "customers", "id"), (TypeClass::Integer, false));
    assert_eq!(column(&schema, "customers", "name"), (TypeClass::Text, false));
    assert_eq!(column(&schema, "customers", "vip"), (TypeClass::Boolean, true));
    assert_eq!(column(&schema, "customers", "since"), (TypeClass::Time, true));
    assert_eq!(column(&schema, "products", "price"), (TypeClass::Number, true));
    let lines = schema.table("lines").unwrap();
    assert!(lines.column("total").is_some());
    assert_eq!(lines.primary_key, ["id"]);
    assert_eq!(schema.table("products").unwrap().primary_key, ["region", "sku"]);
    let key = |columns: &[&str], table: &str, referred: &[&str]| ForeignKey {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        references_namespace: None,
        references_table: table.to_owned(),
        references_columns: referred.iter().map(|name| (*name).to_owned()).collect(),
    };
    let keys =
        [key(&["customer"], "customers", &["id"]), key(&["sku", "region"], "products", &["sku", "region"])];
    assert_eq!(lines.foreign_keys, keys);
    let estimate = |name: &str| schema.table(name).unwrap().resource.row_estimate;
    assert_eq!(estimate("customers"), Some(3));
    assert_eq!(estimate("analyzed"), Some(500), "the statistics, not a count");
    assert_eq!(estimate("vips"), None);
    assert_eq!(schema.table("vips").unwrap().resource.kind, ResourceKind::View);
    assert_eq!(schema.table("vips").unwrap().columns.len(), 1);
    assert!(schema.table("broken").unwrap().columns.is_empty());
    assert_eq!(backend.list_resources().await.unwrap().len(), 7);
}

#[tokio::test]
async fn a_schema_is_believed_for_its_time() {
    let file = SqliteFile::new(SHOP).await;
    let kept = open(&file, SqlOptions::default()).await;
    let fresh = open(&file, SqlOptions { schema_cache_ttl: Duration::ZERO, ..SqlOptions::default() }).await;
    let chosen = open(
        &file,
        SqlOptions {
            tables: TableFilter { include: vec!["*s".into(), "search".into()], exclude: vec!["VIP*".into()] },
            ..SqlOptions::default()
        },
    )
    .await;
    assert_eq!(kept.list_resources().await.unwrap().len(), 7);
    let names: Vec<_> = chosen.list_resources().await.unwrap().into_iter().map(|table| table.name).collect();
    assert_eq!(names, ["customers", "lines", "products", "search"]);
    let mut writer = file.writer().await;
    sqlx::raw_sql("CREATE TABLE more (a)").execute(&mut writer).await.unwrap();
    assert_eq!(kept.list_resources().await.unwrap().len(), 7);
    assert_eq!(fresh.list_resources().await.unwrap().len(), 8);
}

#[tokio::test]
async fn forbidden_files_are_refused_under_any_name() {
    let file = SqliteFile::new(SHOP).await;
    let options = SqlOptions { forbidden_paths: vec![file.path()], ..SqlOptions::default() };
    let linked = file.folder().join("hard.sqlite");
    std::fs::hard_link(file.path(), &linked).unwrap();
    let dotted = file.folder().join(".").join("data.sqlite");
    let mut names = vec![file.path(), linked, dotted];
    #[cfg(unix)]
    {
        let symbolic = file.folder().join("soft.sqlite");
        std::os::unix::fs::symlink(file.path(), &symbolic).unwrap();
        names.push(symbolic);
    }
    for name in names {
        let error = SqliteBackend::open("store", &name, options.clone(), support::clock()).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Refused, "{}: {error}", name.display());
    }
}

#[tokio::test]
async fn what_is_no_database_is_unavailable() {
    let file = SqliteFile::new(SHOP).await;
    let text = file.folder().join("readme.txt");
    std::fs::write(&text, "not a database, but long enough to look like one at first sight".repeat(20))
        .unwrap();
    for path in [text, file.folder().join("missing.sqlite"), file.folder().to_owned()] {
        let error =
            SqliteBackend::open("x", &path, SqlOptions::default(), support::clock()).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Unavailable, "{error}");
    }
    assert!(!file.folder().join("missing.sqlite").exists());
}

#[tokio::test]
async fn a_shared_pool_lives_as_long_as_its_last_backend() {
    let file = SqliteFile::new(SHOP).await;
    let pools = SharedPools::new(support::clock());
    let source = SqlSource::Sqlite(file.path());
    let first = pools.open("first", &source, SqlOptions::default()).await.unwrap();
    let second = pools.open("second", &source, SqlOptions::default()).await.unwrap();
    first.close().await;
    let error = first.get_schema().await.unwrap_err();
    assert_eq!((error.kind, error.backend.as_str()), (BackendErrorKind::Unavailable, "first"));
    assert_eq!(second.name(), "second");
    assert!(second.ping(Duration::from_secs(1)).await.unwrap() < Duration::from_secs(1));
    second.close().await;
    assert!(second.ping(Duration::from_secs(1)).await.is_err());
    let again = pools.open("again", &source, SqlOptions::default()).await.unwrap();
    assert!(again.get_schema().await.is_ok());
}
