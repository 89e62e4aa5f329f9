//! What a SQLite database holds.

use loom_fabric::{Column, Dialect, ForeignKey, Resource, ResourceKind, Schema, Table, TypeClass};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

/// Rows counted at most where no statistics are; above, the largest rowid stands for the number.
const COUNTED_ROWS: i64 = 100_000;

/// Reads tables, views, columns, keys and row estimates.
pub(super) async fn discover(connection: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
    let listed: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, type FROM pragma_table_list
         WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let estimates = statistics(connection).await?;
    let mut tables = Vec::with_capacity(listed.len());
    for (name, kind) in listed {
        let kind = if kind == "view" { ResourceKind::View } else { ResourceKind::Table };
        let row_estimate = match (kind, estimates.iter().find(|(table, _)| *table == name)) {
            (ResourceKind::View, _) => None,
            (ResourceKind::Table, Some((_, rows))) => u64::try_from(*rows).ok(),
            (ResourceKind::Table, None) => count(connection, &name).await,
        };
        let resource = Resource { namespace: None, name, kind, row_estimate };
        tables.push(describe(connection, resource).await?);
    }
    name_implied_keys(&mut tables);
    Ok(Schema { tables })
}

/// Row counts that ANALYZE left behind: the first number of each index's statistics.
async fn statistics(connection: &mut SqliteConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let analyzed: bool =
        sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
            .fetch_one(&mut *connection)
            .await?;
    if !analyzed {
        return Ok(Vec::new());
    }
    sqlx::query_as("SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl")
        .fetch_all(connection)
        .await
}

async fn count(connection: &mut SqliteConnection, table: &str) -> Option<u64> {
    let quoted = Dialect::Sqlite.quote(table);
    let counted = format!("SELECT count(*) FROM (SELECT 1 FROM {quoted} LIMIT {})", COUNTED_ROWS + 1);
    let counted: i64 = sqlx::query_scalar(AssertSqlSafe(counted)).fetch_one(&mut *connection).await.ok()?;
    if counted <= COUNTED_ROWS {
        return u64::try_from(counted).ok();
    }
    let largest = format!("SELECT max(rowid) FROM {quoted}");
    let largest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(largest)).fetch_one(connection).await.ok()?;
    u64::try_from(largest?).ok()
}

/// Name, declared type, whether NOT NULL, place in the primary key, how hidden.
type ColumnRow = (String, String, bool, i64, i64);

/// A view that no longer fits its tables, or a table of a module that is not here, is listed without columns.
async fn describe(connection: &mut SqliteConnection, resource: Resource) -> Result<Table, sqlx::Error> {
    const HIDDEN: i64 = 1;
    /// An error of the SQL itself: <https://sqlite.org/rescode.html#error>.
    const SQLITE_ERROR: &str = "1";
    let found: Result<Vec<ColumnRow>, _> =
        sqlx::query_as("SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid")
            .bind(&resource.name)
            .fetch_all(&mut *connection)
            .await;
    let found = match found {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(SQLITE_ERROR) => Vec::new(),
        other => other?,
    };
    let mut key: Vec<_> =
        found.iter().filter(|column| column.3 > 0).map(|column| (column.3, &column.0)).collect();
    key.sort_unstable();
    let primary_key = key.into_iter().map(|(_, name)| name.clone()).collect();
    let columns = found
        .into_iter()
        .filter(|(.., hidden)| *hidden != HIDDEN)
        .map(|(name, data_type, not_null, key, _)| Column {
            class: class_of(&data_type),
            nullable: !not_null && key == 0,
            name,
            data_type,
        })
        .collect();
    let foreign_keys = foreign_keys(connection, &resource.name).await?;
    Ok(Table { resource, columns, primary_key, foreign_keys })
}

async fn foreign_keys(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<ForeignKey>, sqlx::Error> {
    let rows: Vec<(i64, String, String, Option<String>)> = sqlx::query_as(
        "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    for (id, references_table, from, to) in rows {
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let columns = Vec::new();
            let references_columns = Vec::new();
            let key =
                ForeignKey { columns, references_namespace: None, references_table, references_columns };
            keys.push((id, key));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(from);
            key.references_columns.extend(to);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// A foreign key without columns refers to the other table's primary key. Names are spelt as the other table spells
/// them.
fn name_implied_keys(tables: &mut [Table]) {
    let keys: Vec<(String, Vec<String>)> =
        tables.iter().map(|table| (table.resource.name.clone(), table.primary_key.clone())).collect();
    for key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
        let Some((name, primary_key)) =
            keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key.references_table))
        else {
            continue;
        };
        key.references_table.clone_from(name);
        if key.references_columns.is_empty() {
            key.references_columns.clone_from(primary_key);
        }
    }
}

/// Sorts a declared type, which SQLite lets be anything.
fn class_of(declared: &str) -> TypeClass {
    let declared = declared.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["bool"]) {
        TypeClass::Boolean
    } else if has(&["date", "time"]) {
        TypeClass::Time
    } else if has(&["char", "clob", "text", "string", "uuid"]) {
        TypeClass::Text
    } else if has(&["interval", "point"]) {
        TypeClass::Other
    } else if has(&["int", "serial"]) {
        TypeClass::Integer
    } else if has(&["num", "dec", "real", "floa", "doub", "money"]) {
        TypeClass::Number
    } else {
        TypeClass::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_sorted() {
        let classes = [
            ("INTEGER", TypeClass::Integer),
            ("UNSIGNED BIG INT", TypeClass::Integer),
            ("NUMERIC(10,2)", TypeClass::Number),
            ("DECIMAL", TypeClass::Number),
            ("DOUBLE PRECISION", TypeClass::Number),
            ("NVARCHAR(160)", TypeClass::Text),
            ("text", TypeClass::Text),
            ("DATETIME", TypeClass::Time),
            ("timestamp", TypeClass::Time),
            ("BOOLEAN", TypeClass::Boolean),
            ("BLOB", TypeClass::Other),
            ("POINT", TypeClass::Other),
            ("", TypeClass::Other),
        ];
        for (declared, class) in classes {
            assert_eq!(class_of(declared), class, "{declared}");
        }
    }
}
