//! Shows what a backend holds in a size that a model can take, and says how to get the rest.
//!
//! A result that is cut off in the middle tells nothing about what is missing, so nothing here is longer than
//! [`MAX_BYTES`].

use serde_json::{Value, json};

use crate::{Dialect, Resource, Schema, Table};

/// The longest answer. A model with a large context is shown 64 KiB of a result; this leaves room for the note.
const MAX_BYTES: usize = 48 * 1024;

/// A text's share of [`MAX_BYTES`].
struct Room {
    left: usize,
}

impl Room {
    const fn new() -> Self {
        Self { left: MAX_BYTES }
    }

    /// Whether `value` still fits; what it takes is then gone.
    fn takes(&mut self, value: &Value) -> bool {
        let fits = self.left.checked_sub(size(value));
        self.left = fits.unwrap_or(self.left);
        fits.is_some()
    }
}

/// The bytes of a value in a list.
fn size(value: &Value) -> usize {
    value.to_string().len() + 1
}

/// The whole schema with columns and keys; or, when that is too much, a part of it, or its names alone.
pub(super) fn overview(schema: &Schema, dialect: Dialect) -> Value {
    let names: Vec<Value> = schema.tables.iter().map(|table| bare(&table.resource)).collect();
    let mut bytes: usize = names.iter().map(size).sum();
    let mut tables = Vec::new();
    for (table, name) in schema.tables.iter().zip(&names) {
        let described = describe(table);
        bytes = bytes - size(name) + size(&described);
        if bytes > MAX_BYTES {
            break;
        }
        tables.push(described);
    }
    // A small part of a schema is no help in choosing among its tables.
    if tables.len() * 2 < names.len() {
        tables.clear();
    }
    let described = tables.len();
    let mut room = Room { left: if described == 0 { MAX_BYTES } else { usize::MAX } };
    tables.extend(names.iter().skip(described).take_while(|name| room.takes(name)).cloned());
    let (bare, absent) = (tables.len() - described, names.len() - tables.len());
    let mut note = Vec::new();
    if bare > 0 {
        let are = count(bare, "table is", "tables are");
        note.push(format!("{are} shown without their columns: ask for those you need by name, in `tables`"));
    }
    if absent > 0 {
        let are = count(absent, "more table is", "more tables are");
        note.push(format!("{are} left out: list_tables finds them by a part of their names, in `matching`"));
    }
    with_note(json!({"dialect": dialect, "tables": tables}), &note)
}

/// The tables asked for, as many as fit; of a single one too wide as many columns as fit.
pub(super) fn descriptions(asked: &[&Table], dialect: Dialect) -> Value {
    let mut room = Room::new();
    let mut tables: Vec<Value> =
        asked.iter().map(|table| describe(table)).take_while(|t| room.takes(t)).collect();
    if tables.is_empty() {
        tables.extend(asked.first().map(|table| describe_narrowly(table)));
    }
    let note = asked.get(tables.len()).map(|next| {
        let did = count(asked.len() - tables.len(), "table did", "tables did");
        format!("{did} not fit: ask again, from `{}` on", next.resource.qualified_name())
    });
    with_note(json!({"dialect": dialect, "tables": tables}), note.as_slice())
}

/// Names with kinds and sizes; when that is too much, names alone, as many as fit.
pub(super) fn resources<'a>(resources: impl Iterator<Item = &'a Resource>) -> Value {
    let mut tables: Vec<Value> = resources.map(list).collect();
    let all = tables.len();
    if tables.iter().map(size).sum::<usize>() <= MAX_BYTES {
        return json!({ "tables": tables });
    }
    let mut room = Room::new();
    tables =
        tables.iter().map(|table| json!({"name": table["name"]})).take_while(|t| room.takes(t)).collect();
    let absent = match all - tables.len() {
        0 => String::new(),
        absent => format!(", and there are {absent} more"),
    };
    let note =
        format!("these are names alone{absent}: ask for a part of them in `matching`, such as *order*");
    with_note(json!({ "tables": tables }), &[note])
}

fn with_note(mut answer: Value, note: &[String]) -> Value {
    if !note.is_empty() {
        answer["note"] = note.join("; ").into();
    }
    answer
}

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

fn bare(resource: &Resource) -> Value {
    json!({"name": resource.qualified_name()})
}

fn list(resource: &Resource) -> Value {
    json!({
        "name": resource.qualified_name(),
        "kind": resource.kind,
        "row_estimate": resource.row_estimate,
    })
}

fn describe(table: &Table) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "data_type": column.data_type,
                "class": column.class,
                "nullable": column.nullable,
            })
        })
        .collect();
    let foreign_keys: Vec<Value> = table
        .foreign_keys
        .iter()
        .map(|key| {
            let references = match &key.references_namespace {
                Some(namespace) => format!("{namespace}.{}", key.references_table),
                None => key.references_table.clone(),
            };
            json!({
                "columns": key.columns,
                "references_table": references,
                "references_columns": key.references_columns,
            })
        })
        .collect();
    let mut described = list(&table.resource);
    described["columns"] = columns.into();
    described["primary_key"] = json!(table.primary_key);
    described["foreign_keys"] = foreign_keys.into();
    described
}

/// A table whose columns are too many: the first of them.
fn describe_narrowly(table: &Table) -> Value {
    let mut room = Room::new();
    let mut described = describe(table);
    for list in ["columns", "foreign_keys"] {
        let Some(items) = described[list].as_array_mut() else { continue };
        let all = items.len();
        let fitting = items.iter().take_while(|item| room.takes(item)).count();
        items.truncate(fitting);
        if fitting < all {
            described[format!("{list}_left_out")] = json!(all - fitting);
        }
    }
    described
}
