//! Every worked example can be filled in, for every engine its templates are for.

use loom_fabric::{Dialect, Schema, render};
use loom_patterns::TemplateDialect;

use crate::library::snapshot;

/// The tables that examples speak of, as `table: column class, …` with `*` at the primary key and `>table` at what a
/// foreign key refers to.
const EXAMPLE_TABLES: &[&str] = &[
    "Album: AlbumId integer *, Title text, ArtistId integer >Artist",
    "Artist: ArtistId integer *, Name text",
    "Customer: CustomerId integer *, FirstName text, LastName text, Company text, Country text, Email text",
    "Genre: GenreId integer *, Name text",
    "Invoice: InvoiceId integer *, CustomerId integer >Customer, InvoiceDate time, Total number",
    "Track: TrackId integer *, Name text, AlbumId integer >Album, GenreId integer >Genre, Milliseconds integer",
];

#[expect(clippy::unwrap_used, reason = "a fixture of this file")]
fn schema() -> Schema {
    let tables: Vec<serde_json::Value> = EXAMPLE_TABLES.iter().map(|written| table(written)).collect();
    serde_json::from_value(serde_json::json!({ "tables": tables })).unwrap()
}

#[expect(clippy::unwrap_used, reason = "a fixture of this file")]
fn table(written: &str) -> serde_json::Value {
    let (name, columns) = written.split_once(": ").unwrap();
    let parts: Vec<Vec<&str>> = columns.split(", ").map(|column| column.split(' ').collect()).collect();
    let key = |target: &str| format!("{target}Id");
    let foreign_keys: Vec<serde_json::Value> = parts
        .iter()
        .filter_map(|part| Some((part[0], part.get(2)?.strip_prefix('>')?)))
        .map(|(column, target)| {
            serde_json::json!({
                "columns": [column], "references_namespace": null,
                "references_table": target, "references_columns": [key(target)],
            })
        })
        .collect();
    let columns: Vec<serde_json::Value> = parts
        .iter()
        .map(|part| {
            serde_json::json!({"name": part[0], "data_type": part[1], "class": part[1], "nullable": true})
        })
        .collect();
    serde_json::json!({
        "namespace": null, "name": name, "kind": "table", "row_estimate": null,
        "columns": columns, "primary_key": [key(name)], "foreign_keys": foreign_keys,
    })
}

#[test]
fn every_example_fills_every_template() {
    let snapshot = snapshot();
    let schema = schema();
    let mut filled = 0;
    for pattern in snapshot.iter() {
        for (key, template) in &pattern.templates {
            let dialects = match template.executable().unwrap() {
                TemplateDialect::Any => vec![Dialect::Sqlite, Dialect::Postgres],
                TemplateDialect::Sqlite => vec![Dialect::Sqlite],
                TemplateDialect::Postgres => vec![Dialect::Postgres],
            };
            for (dialect, example) in
                dialects.iter().flat_map(|dialect| pattern.examples.iter().map(move |e| (dialect, e)))
            {
                let rendered = render(pattern, Some(key), &example.parameters, *dialect, &schema);
                let rendered = rendered.unwrap_or_else(|error| panic!("{}.{key}: {error}", pattern.name));
                assert!(!rendered.sql.contains("{{"), "{}.{key}: {}", pattern.name, rendered.sql);
                filled += 1;
            }
        }
    }
    assert!(filled >= snapshot.len(), "{filled}");
}

#[test]
fn every_engine_with_a_template_of_its_own_needs_no_key() {
    let snapshot = snapshot();
    let schema = schema();
    for pattern in snapshot.iter().filter(|pattern| pattern.backend_type.is_none()) {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let rendered = render(pattern, None, &pattern.examples[0].parameters, dialect, &schema);
            assert!(rendered.is_ok(), "{} on {}: {rendered:?}", pattern.name, dialect.as_str());
        }
    }
}
