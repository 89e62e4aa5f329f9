//! Databases that nobody would make on purpose, through the tools that an agent has.

use std::sync::Arc;

use loom_base::{EffectId, TraceId, TurnId};
use loom_fabric::{ExecutionBackend, QueryLimits, Schema, Table, backend_tools};
use loom_fabric_sql::{PostgresBackend, SqlOptions, SqliteBackend};
use loom_patterns::Registry;
use loom_tools::{ToolContext, ToolError, ToolSet};
use serde_json::{Value, json};

use crate::support::{self, SqliteFile};

/// An agent's tools on a database.
struct Desk {
    schema: Arc<Schema>,
    tools: ToolSet,
    _file: Option<SqliteFile>,
}

impl Desk {
    async fn new(sql: &str) -> Self {
        let file = SqliteFile::new(sql).await;
        let backend = SqliteBackend::open("odd", &file.path(), SqlOptions::default(), support::clock()).await;
        Self { _file: Some(file), ..Self::over(Arc::new(backend.unwrap())).await }
    }

    async fn over(backend: Arc<dyn ExecutionBackend>) -> Self {
        let (patterns, report) = Registry::with_built_in(loom_pattern_library::files().iter().copied());
        assert_eq!(report.errors, []);
        let schema = backend.get_schema().await.unwrap();
        let tools = backend_tools(backend, None, Arc::new(patterns), QueryLimits::default());
        Self { schema, tools: ToolSet::new(tools).unwrap(), _file: None }
    }

    async fn call(&self, tool: &str, input: Value) -> Result<Value, ToolError> {
        self.tools.check_arguments(tool, &input).unwrap();
        let turn: TurnId = "turn_00000000000000000000000000000007".parse().unwrap();
        let context = ToolContext {
            effect: EffectId { turn, number: 1 },
            session: "s".parse().unwrap(),
            agent: "a".parse().unwrap(),
            trace: TraceId::of_turn(turn),
            cancel: tokio_util::sync::CancellationToken::new(),
        };
        self.tools.get(tool).unwrap().call(input, context).await.map(|output| output.data)
    }

    async fn pattern(&self, name: &str, parameters: Value) -> Result<Value, String> {
        let found = self.call("run_pattern", json!({"pattern": name, "parameters": parameters})).await;
        found.map(|data| data["rows"].clone()).map_err(|error| error.message)
    }
}

const ODD_NAMES: &str = r#"
    CREATE TABLE "it's a ""table""" (
        "näme" TEXT PRIMARY KEY, "a b" INTEGER, "c.d" NUMERIC, "--x" TEXT, "/*y*/" INTEGER, "{{from}}" TEXT, "?1" TEXT,
        "[z]" TEXT, "`t`" TEXT, "漢字 🎵" INTEGER, "new
line" INTEGER, "semi;colon" TEXT, "100%" REAL, "it's a ""table""" INTEGER, "rowid" TEXT, "$1" TEXT, ":p" TEXT, "@q" TEXT, "\" TEXT, "month" TEXT
    );
    CREATE TABLE "order" (
        "order" INTEGER PRIMARY KEY, "group" TEXT, "select" NUMERIC(10, 2), "from" DATETIME, "limit" INTEGER,
        "where" TEXT REFERENCES "it's a ""table""" ("näme")
    );
    CREATE TABLE "a.b" ("c.d" INTEGER, "e" INTEGER);
    CREATE TABLE "a" ("b.c.d" INTEGER, "b" INTEGER);
    CREATE VIEW "the view" AS SELECT "group" AS "GROUP BY", "select" * 2 AS "sum(x)", "from" FROM "order";
    CREATE TABLE "pragma notes" (a INTEGER);
    CREATE TABLE "" ("" INTEGER);
    INSERT INTO "it's a ""table""" VALUES ('ä', 1, 2.5, 'x', 3, 'f', 'q', 'z', 't', 4, 5, 's', 0.5, 6, 'r', 'd', 'p', 'q', 'b', 'm'), ('ö', 1, 2.5, 'x', 3, 'f', 'q', 'z', 't', 4, 5, 's', 0.5, 6, 'r', 'd', 'p', 'q', 'b', 'm');
    INSERT INTO "order" VALUES (1, 'g', 10, '2024-01-05', 1, 'ä'), (2, 'h', 20.5, '2024-02-05', 2, 'ä'), (3, NULL, 1, NULL, 3, 'ö');
    INSERT INTO "a.b" VALUES (1, 2);
    INSERT INTO "a" VALUES (1, 2);
    INSERT INTO "" VALUES (7);
"#;

/// Samples, describes and counts every table, and asks about every column; returns how many columns there were.
async fn ask_about_all(desk: &Desk) -> usize {
    let mut columns = 0;
    let mut problems = Vec::new();
    let own = |table: &&Table| table.resource.namespace.as_ref().is_none_or(|name| name.starts_with("odd "));
    for table in desk.schema.tables.iter().filter(own) {
        let name = table.resource.qualified_name();
        for (tool, input) in [
            ("sample", json!({"table": name})),
            ("schema", json!({"tables": [name]})),
            ("run_pattern", json!({"pattern": "count_rows", "parameters": {"table": name}})),
        ] {
            if let Err(error) = desk.call(tool, input).await {
                problems.push(format!("{tool} {name:?}: {}", error.message));
            }
        }
        for column in &table.columns {
            columns += 1;
            let column = format!("{name}.{}", column.name);
            for pattern in ["distribution", "null_profile", "duplicates"] {
                if let Err(error) = desk.pattern(pattern, json!({"column": column})).await {
                    problems.push(format!("{pattern} {column:?}: {error}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    columns
}

#[tokio::test]
async fn every_column_of_any_name_can_be_asked_about() {
    assert_eq!(ask_about_all(&Desk::new(ODD_NAMES).await).await, 35);
}

#[tokio::test]
async fn every_column_of_any_name_can_be_asked_about_in_postgres() {
    const SETUP: &str = r#"
        CREATE TABLE "it's a ""table""" ("näme" text PRIMARY KEY, "a b" int, "c.d" numeric, "--x" text, "/*y*/" int,
            "{{from}}" text, "?1" text, "$1" text, ":p" text, "\" text, "new
line" int, "it's a ""table""" int, "漢字 🎵" int, "U&" text, "$$" text);
        CREATE TABLE "Order" ("Order" int PRIMARY KEY, "order" int, "GROUP" text REFERENCES "it's a ""table""");
        CREATE TABLE "order" ("Order" int, "order" int, tableoid_ int);
        CREATE TABLE "a.b" ("c.d" int);
        CREATE MATERIALIZED VIEW "kept view" AS SELECT count(*) AS "count(*)" FROM "Order";
        CREATE VIEW "the view" AS SELECT "order" AS "SELECT" FROM "Order";
        CREATE TABLE parts (day date, n int, PRIMARY KEY (day, n)) PARTITION BY RANGE (day);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        INSERT INTO parts VALUES ('2024-03-01', 5);
        INSERT INTO "it's a ""table""" ("näme") VALUES ('ä');
        INSERT INTO "Order" VALUES (1, 2, 'ä');"#;
    support::in_schema(SETUP, |sandbox| async move {
        let other = format!("odd \"{}\".x", sandbox.schema);
        let quoted = format!("\"{}\"", other.replace('"', "\"\""));
        let mut admin = sandbox.admin().await;
        let make = format!("CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.\"Order\" (\"a.b\" int)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut admin).await.unwrap();
        let outcome = tokio::spawn(async move {
            let backend =
                PostgresBackend::connect("odd", &sandbox.dsn, SqlOptions::default(), support::clock()).await;
            let desk = Desk::over(Arc::new(backend.unwrap())).await;
            assert_eq!(ask_about_all(&desk).await, 27);
            let by = json!({"measure": "Order.order", "label": "it's a \"table\".näme"});
            assert_eq!(desk.pattern("top_by_total", by).await, Ok(json!([["ä", 2]])));
        });
        let outcome = outcome.await;
        let drop_schema = format!("DROP SCHEMA {quoted} CASCADE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop_schema)).execute(&mut admin).await.unwrap();
        outcome.unwrap();
    })
    .await;
}

const STAFF: &str = "
    PRAGMA foreign_keys = OFF;
    CREATE TABLE office (office_id INTEGER PRIMARY KEY, city TEXT);
    CREATE TABLE employee (
        employee_id INTEGER PRIMARY KEY, last_name TEXT, salary NUMERIC, reports_to INTEGER REFERENCES Employee,
        office_id INTEGER REFERENCES OFFICE (OFFICE_ID), born DATE, gone INTEGER REFERENCES nowhere (id)
    );
    CREATE TABLE flight (
        flight_id INTEGER PRIMARY KEY, start_id INTEGER REFERENCES office, end_id INTEGER REFERENCES office,
        pilot INTEGER REFERENCES employee, price NUMERIC, seats INTEGER, income AS (price * seats) STORED,
        double AS (price * 2)
    );
    INSERT INTO office VALUES (1, 'Oslo'), (2, 'Rome'), (3, 'Empty');
    INSERT INTO employee VALUES
        (1, 'Boss', 90, NULL, 1, '1970-05-01', NULL), (2, 'Left', 50, 1, 1, '1980-05-01', NULL),
        (3, 'Right', 60, 1, 2, '1990-05-01', NULL), (4, 'Leaf', 40, 2, NULL, NULL, NULL), (5, 'Lost', 10, 77, 2, NULL, 9);
    INSERT INTO flight (flight_id, start_id, end_id, pilot, price, seats) VALUES (1, 1, 2, 4, 10, 3), (2, 2, 1, 4, 20, 2), (3, 1, 1, NULL, 5, 1);
    CREATE VIEW rich AS SELECT last_name AS name, salary, born FROM employee WHERE salary > 45;
";

#[tokio::test]
async fn a_table_may_refer_to_itself() {
    let desk = Desk::new(STAFF).await;
    let leaves = json!({"table": "employee", "label": "last_name", "key": "employee_id", "related_table": "employee", "related_column": "employee.reports_to"});
    assert_eq!(
        desk.pattern("missing_related_rows", leaves).await,
        Ok(json!([["Leaf", 4], ["Lost", 5], ["Right", 3]]))
    );
    let lost = json!({"table": "employee", "column": "reports_to", "referenced_table": "employee", "referenced_column": "employee.employee_id"});
    assert_eq!(desk.pattern("orphaned_rows", lost).await, Ok(json!([[77, 1]])));
    let paid = json!({"measure": "employee.salary", "label": "employee.last_name", "limit": 2});
    assert_eq!(desk.pattern("top_by_total", paid).await, Ok(json!([["Boss", 90], ["Right", 60]])));
}

#[tokio::test]
async fn a_bare_column_is_of_the_table_named_before_it() {
    let desk = Desk::new(STAFF).await;
    let vacant = json!({"table": "office", "label": "city", "key": "office_id", "related_table": "employee", "related_column": "office_id"});
    assert_eq!(desk.pattern("missing_related_rows", vacant).await, Ok(json!([["Empty", 3]])));
    let lost = json!({"table": "flight", "column": "pilot", "referenced_table": "employee", "referenced_column": "employee_id"});
    assert_eq!(desk.pattern("orphaned_rows", lost).await, Ok(json!([])));
}

#[tokio::test]
async fn ways_are_found_or_named() {
    let desk = Desk::new(STAFF).await;
    let by = |label: &str| json!({"measure": "flight.income", "label": label});
    assert_eq!(
        desk.pattern("top_by_total", by("employee.last_name")).await,
        Ok(json!([["Leaf", 70], [null, 5]]))
    );
    let error = desk.pattern("top_by_total", by("office.city")).await.unwrap_err();
    for name in ["several ways", "`flight`", "`office`", "flight.start_id", "flight.end_id"] {
        assert!(error.contains(name), "{error}");
    }
    let generated = desk.pattern("measure_summary", json!({"measure": "flight.double"})).await;
    assert_eq!(generated, Ok(json!([[3, 70, 70.0 / 3.0, 10, 40]])));
    let view = desk
        .pattern("highest_values", json!({"measure": "rich.salary", "label": "rich.name", "limit": 1}))
        .await;
    assert_eq!(view, Ok(json!([["Boss", 90]])));
    let error = desk
        .pattern("top_by_total", json!({"measure": "rich.salary", "label": "office.city"}))
        .await
        .unwrap_err();
    assert!(error.contains("no foreign keys lead from `rich` to `office`"), "{error}");
}

#[tokio::test]
async fn two_thousand_tables_are_found_in_time_and_shown_in_part() {
    let tables = (0..2_000).map(|n| {
        format!(
            "CREATE TABLE entity_{n:04} (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES entity_{:04}, name TEXT,
                 amount NUMERIC);
             INSERT INTO entity_{n:04} VALUES (1, 1, 'a', {n});",
            n / 2
        )
    });
    let script = format!("BEGIN; {} COMMIT;", tables.collect::<String>());
    let desk = tokio::time::timeout(std::time::Duration::from_secs(30), Desk::new(&script)).await.unwrap();
    assert_eq!(desk.schema.tables.len(), 2_000);
    for tool in ["schema", "list_tables"] {
        let shown = desk.call(tool, json!({})).await.unwrap();
        assert!(shown.to_string().len() < 50_000 && shown["note"].is_string(), "{tool}");
        assert!(shown["tables"].as_array().unwrap().len() > 1_500, "{tool}");
    }
    let found = desk.call("list_tables", json!({"matching": "*_1999"})).await.unwrap();
    assert_eq!(found, json!({"tables": [{"name": "entity_1999", "kind": "table", "row_estimate": 1}]}));
    // Eleven joins lie between the two.
    let far = json!({"measure": "entity_1999.amount", "label": "entity_0000.name"});
    assert_eq!(desk.pattern("top_by_total", far).await, Ok(json!([["a", 1999]])));
}

const KEYS: &str = "
    PRAGMA foreign_keys = OFF;
    CREATE TABLE Product (Sku TEXT, Region TEXT, Title TEXT, PRIMARY KEY (Region, Sku)) WITHOUT ROWID;
    CREATE TABLE named (id INTEGER PRIMARY KEY, sku TEXT, region TEXT, units INTEGER,
        FOREIGN KEY (SKU, REGION) REFERENCES PRODUCT (sku, region));
    CREATE TABLE implied (id INTEGER PRIMARY KEY, sku TEXT, region TEXT, units INTEGER,
        FOREIGN KEY (region, sku) REFERENCES product);
    CREATE TABLE heap (product TEXT, units INTEGER, note TEXT);
    CREATE TABLE twice (id INTEGER PRIMARY KEY, sku TEXT, region TEXT, units INTEGER,
        FOREIGN KEY (sku, region) REFERENCES Product (sku, region), FOREIGN KEY (region, sku) REFERENCES Product);
    INSERT INTO Product VALUES ('a', 'eu', 'Apple'), ('a', 'us', 'Apple'), ('b', 'eu', 'Bread');
    INSERT INTO named VALUES (1, 'a', 'eu', 1), (2, 'a', 'us', 10), (3, 'b', 'eu', 100), (4, 'b', 'us', 1000);
    INSERT INTO implied SELECT * FROM named;
    INSERT INTO twice SELECT * FROM named;
    INSERT INTO heap VALUES ('x', 1, NULL), ('y', 2, 'n'), ('x', 4, '');
";

#[tokio::test]
async fn keys_of_any_form_lead_to_their_rows_once() {
    let desk = Desk::new(KEYS).await;
    let expected = json!([[null, 1000], ["Bread", 100], ["Apple", 10], ["Apple", 1]]);
    for table in ["named", "implied", "twice"] {
        let by = json!({"measure": format!("{table}.units"), "label": "Product.Title"});
        assert_eq!(desk.pattern("top_by_total", by).await, Ok(expected.clone()), "{table}");
    }
    let heap = json!({"measure": "heap.units", "label": "heap.product"});
    assert_eq!(desk.pattern("top_by_total", heap).await, Ok(json!([["x", 5], ["y", 2]])));
}

#[tokio::test]
async fn what_cannot_be_opened_hides_nothing_else() {
    let desk = Desk::new(
        "CREATE TABLE fine (a INTEGER);
         CREATE VIEW stale AS SELECT b FROM gone;
         CREATE VIEW circle AS SELECT * FROM circle;
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema VALUES ('table', 'alien', 'alien', 0, 'CREATE VIRTUAL TABLE alien USING no_such_module(a)');
         PRAGMA writable_schema = OFF;",
    )
    .await;
    let listed = desk.call("list_tables", json!({})).await.unwrap();
    let names: Vec<_> =
        listed["tables"].as_array().unwrap().iter().map(|table| table["name"].clone()).collect();
    assert_eq!(names, ["alien", "circle", "fine", "stale"]);
    for name in ["alien", "circle", "stale"] {
        let error = desk.call("sample", json!({"table": name})).await.unwrap_err();
        assert!(error.message.contains(name) || error.message.contains("no such"), "{name}: {error}");
    }
    assert_eq!(desk.pattern("count_rows", json!({"table": "fine"})).await, Ok(json!([[0]])));
}

#[tokio::test]
async fn values_that_json_lacks_are_shown_and_not_lost() {
    let desk =
        Desk::new("CREATE TABLE t (a); INSERT INTO t VALUES (9e999), (-9e999), (9007199254740993);").await;
    let found = desk.call("query", json!({"sql": "SELECT a FROM t"})).await.unwrap();
    assert_eq!(found["rows"], json!([["Infinity"], ["-Infinity"], [9_007_199_254_740_993_i64]]));
}
