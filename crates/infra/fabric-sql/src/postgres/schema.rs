//! What a PostgreSQL database holds for the connected role.

use loom_fabric::{Column, ForeignKey, Resource, ResourceKind, Schema, Table, TypeClass};
use sqlx::postgres::PgConnection;

/// Tables and views that the role may read, system schemas and partitions aside.
const TABLES: &str = "
SELECT c.oid::int8, nullif(n.nspname, current_schema())::text, c.relname::text, c.relkind IN ('v', 'm'),
       CASE WHEN c.reltuples >= 0 AND c.relkind IN ('r', 'm', 'p') THEN c.reltuples::int8 END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
ORDER BY n.nspname <> current_schema(), n.nspname, c.relname";

/// Their columns, with the category of the type below all domains
/// (<https://www.postgresql.org/docs/current/catalog-pg-type.html>).
const COLUMNS: &str = "
WITH RECURSIVE base (oid, type) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t
    UNION ALL
    SELECT base.oid, t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.type WHERE t.typtype = 'd'
)
SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       t.typname::text, t.typcategory::text
FROM pg_catalog.pg_attribute a
JOIN base ON base.oid = a.atttypid
JOIN pg_catalog.pg_type t ON t.oid = base.type AND t.typtype <> 'd'
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

/// Their primary and foreign keys; a constraint's columns in its order.
const KEYS: &str = "
SELECT k.conrelid::int8, k.contype = 'p',
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.n),
       nullif(n.nspname, current_schema())::text, coalesce(r.relname::text, ''),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY c.n)
FROM pg_catalog.pg_constraint k
LEFT JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('p', 'f')
ORDER BY k.conrelid, k.conname";

type TableRow = (i64, Option<String>, String, bool, Option<i64>);
type ColumnRow = (i64, String, String, bool, String, String);
type KeyRow = (i64, bool, Vec<String>, Option<String>, String, Vec<String>);

/// Reads tables, views, columns, keys and the planner's row estimates.
pub(super) async fn discover(connection: &mut PgConnection) -> Result<Schema, sqlx::Error> {
    let found: Vec<TableRow> = sqlx::query_as(TABLES).persistent(false).fetch_all(&mut *connection).await?;
    let oids: Vec<i64> = found.iter().map(|(oid, ..)| *oid).collect();
    let columns: Vec<ColumnRow> =
        sqlx::query_as(COLUMNS).persistent(false).bind(&oids).fetch_all(&mut *connection).await?;
    let keys: Vec<KeyRow> = sqlx::query_as(KEYS).persistent(false).bind(&oids).fetch_all(connection).await?;
    let mut tables: Vec<(i64, Table)> = found.into_iter().map(|row| (row.0, table(row))).collect();
    let index_of: std::collections::HashMap<i64, usize> =
        oids.into_iter().enumerate().map(|(index, oid)| (oid, index)).collect();
    for row in columns {
        if let Some(index) = index_of.get(&row.0) {
            tables[*index].1.columns.push(column(row));
        }
    }
    for (oid, primary, columns, references_namespace, references_table, references_columns) in keys {
        let Some(index) = index_of.get(&oid) else { continue };
        let table = &mut tables[*index].1;
        if primary {
            table.primary_key = columns;
        } else {
            let key = ForeignKey { columns, references_namespace, references_table, references_columns };
            table.foreign_keys.push(key);
        }
    }
    Ok(Schema { tables: tables.into_iter().map(|(_, table)| table).collect() })
}

fn table((_, namespace, name, is_view, rows): TableRow) -> Table {
    let kind = if is_view { ResourceKind::View } else { ResourceKind::Table };
    let row_estimate = rows.and_then(|rows| u64::try_from(rows).ok());
    let resource = Resource { namespace, name, kind, row_estimate };
    Table { resource, columns: Vec::new(), primary_key: Vec::new(), foreign_keys: Vec::new() }
}

fn column((_, name, data_type, nullable, base, category): ColumnRow) -> Column {
    let class = match (base.as_str(), category.as_str()) {
        ("int2" | "int4" | "int8", _) => TypeClass::Integer,
        ("float4" | "float8" | "numeric" | "money", _) => TypeClass::Number,
        ("uuid", _) | (_, "S" | "E") => TypeClass::Text,
        (_, "B") => TypeClass::Boolean,
        (_, "D") => TypeClass::Time,
        _ => TypeClass::Other,
    };
    Column { name, data_type, class, nullable }
}
