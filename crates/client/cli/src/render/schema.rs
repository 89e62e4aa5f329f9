//! What a backend holds.

use std::io::{self, Write};

use loom_fabric::{ForeignKey, ResourceKind, Schema, Table};

use super::amounts::counted;
use super::columns::Columns;
use super::text::{Tone, clean_line};
use crate::Style;

/// Writes each table with its columns and keys.
pub fn schema(schema: &Schema, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if schema.tables.is_empty() {
        return writeln!(out, "no tables");
    }
    for (index, one) in schema.tables.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        table(one, style, out)?;
    }
    Ok(())
}

fn table(table: &Table, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let kind = match table.resource.kind {
        ResourceKind::Table => "table",
        ResourceKind::View => "view",
    };
    let rows = table.resource.row_estimate.map_or_else(String::new, |rows| {
        format!(", about {}", counted(i64::try_from(rows).unwrap_or(i64::MAX), "row"))
    });
    let name = table.resource.qualified_name();
    writeln!(out, "{} ({kind}{rows})", style.paint(Tone::Strong, &clean_line(&name)))?;
    let mut columns = Columns::new(["COLUMN", "TYPE", "NULL", "KEY"]);
    for column in &table.columns {
        let null = if column.nullable { "yes" } else { "no" };
        columns.row([&column.name, &column.data_type, null, &keys_of(table, &column.name)]);
    }
    columns.write(out, style, "no columns")
}

/// `primary`, and what the column refers to.
fn keys_of(table: &Table, column: &str) -> String {
    let primary = table.primary_key.iter().any(|name| name == column).then(|| "primary".to_owned());
    let references = table.foreign_keys.iter().filter_map(|key| target(key, column));
    primary.into_iter().chain(references).collect::<Vec<_>>().join(", ")
}

fn target(key: &ForeignKey, column: &str) -> Option<String> {
    let position = key.columns.iter().position(|name| name == column)?;
    let referred = key.references_columns.get(position)?;
    let namespace = key.references_namespace.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
    Some(format!("→ {namespace}{}.{referred}", key.references_table))
}

#[cfg(test)]
mod tests {
    use loom_fabric::{Column, Resource, TypeClass};

    use super::*;

    fn column(name: &str, data_type: &str, nullable: bool) -> Column {
        Column { name: name.into(), data_type: data_type.into(), class: TypeClass::Other, nullable }
    }

    fn named(name: &str, kind: ResourceKind, row_estimate: Option<u64>) -> Resource {
        Resource { namespace: None, name: name.into(), kind, row_estimate }
    }

    #[test]
    fn tables_show_columns_and_keys() {
        let invoice = Table {
            resource: named("Invoice", ResourceKind::Table, Some(2_412)),
            columns: vec![
                column("InvoiceId", "INTEGER", false),
                column("CustomerId", "INTEGER", false),
                column("Note\u{1b}", "NVARCHAR(40)", true),
            ],
            primary_key: vec!["InvoiceId".into()],
            foreign_keys: vec![ForeignKey {
                columns: vec!["CustomerId".into()],
                references_namespace: Some("sales".into()),
                references_table: "Customer".into(),
                references_columns: vec!["Id".into()],
            }],
        };
        let empty = Table {
            resource: named("totals", ResourceKind::View, None),
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
        };
        let mut out = Vec::new();
        schema(&Schema { tables: vec![invoice, empty] }, Style::Plain, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
