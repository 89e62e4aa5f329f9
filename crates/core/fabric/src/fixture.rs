//! A music shop's schema for the unit tests.

use crate::{Column, ForeignKey, Resource, ResourceKind, Schema, Table, TypeClass};

/// A table from `name TYPE` columns and `column -> table.column` keys; the first column is the primary key.
pub(crate) fn table(name: &str, columns: &[&str], keys: &[&str]) -> Table {
    let columns: Vec<Column> = columns
        .iter()
        .map(|written| {
            let (name, data_type) = written.rsplit_once(' ').unwrap_or((written, "TEXT"));
            let class = match data_type {
                "INTEGER" => TypeClass::Integer,
                "NUMERIC" => TypeClass::Number,
                "DATETIME" => TypeClass::Time,
                _ => TypeClass::Text,
            };
            Column { name: name.into(), data_type: data_type.into(), class, nullable: true }
        })
        .collect();
    let foreign_keys = keys
        .iter()
        .filter_map(|key| {
            let (column, target) = key.split_once(" -> ")?;
            let (table, referenced) = target.rsplit_once('.')?;
            Some(ForeignKey {
                columns: vec![column.into()],
                references_namespace: None,
                references_table: table.into(),
                references_columns: vec![referenced.into()],
            })
        })
        .collect();
    Table {
        resource: Resource {
            namespace: None,
            name: name.into(),
            kind: ResourceKind::Table,
            row_estimate: Some(10),
        },
        primary_key: columns.first().map(|column| column.name.clone()).into_iter().collect(),
        columns,
        foreign_keys,
    }
}

pub(crate) fn shop() -> Schema {
    Schema {
        tables: vec![
            table(
                "Album",
                &["AlbumId INTEGER", "Title", "ArtistId INTEGER"],
                &["ArtistId -> Artist.ArtistId"],
            ),
            table("Artist", &["ArtistId INTEGER", "Name"], &[]),
            table(
                "Customer",
                &["CustomerId INTEGER", "FirstName", "LastName", "Country", "SupportRepId INTEGER"],
                &["SupportRepId -> Employee.EmployeeId"],
            ),
            table(
                "Employee",
                &["EmployeeId INTEGER", "LastName", "ReportsTo INTEGER"],
                &["ReportsTo -> Employee.EmployeeId"],
            ),
            table(
                "Invoice",
                &[
                    "InvoiceId INTEGER",
                    "CustomerId INTEGER",
                    "InvoiceDate DATETIME",
                    "Country",
                    "Total NUMERIC",
                ],
                &["CustomerId -> Customer.CustomerId"],
            ),
            table(
                "InvoiceLine",
                &["InvoiceLineId INTEGER", "InvoiceId INTEGER", "TrackId INTEGER", "UnitPrice NUMERIC"],
                &["InvoiceId -> Invoice.InvoiceId", "TrackId -> Track.TrackId"],
            ),
            table(
                "Track",
                &["TrackId INTEGER", "Name", "AlbumId INTEGER", "Milliseconds INTEGER"],
                &["AlbumId -> Album.AlbumId"],
            ),
        ],
    }
}
