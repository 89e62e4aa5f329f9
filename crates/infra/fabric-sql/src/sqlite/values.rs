//! SQLite's values, by the class in which each is stored.

use loom_fabric::Cell;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Column as _, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};

/// The cells of a row. A column declared BOOLEAN gives truth values for 0 and 1; text that is not UTF-8 comes as bytes.
pub(super) fn cells(row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    (0..row.len()).map(|index| cell(row, index)).collect()
}

fn cell(row: &SqliteRow, index: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let decoded = match value.type_info().name() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(|number| match number {
            0 | 1 if row.column(index).type_info().name() == "BOOLEAN" => Cell::Bool(number == 1),
            _ => Cell::Integer(number),
        }),
        "REAL" => <f64 as Decode<Sqlite>>::decode(value).map(Cell::Float),
        "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(value).map(Cell::Bytes),
        _ => <Vec<u8> as Decode<Sqlite>>::decode(value).map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => Cell::Text(text),
            Err(error) => Cell::Bytes(error.into_bytes()),
        }),
    };
    decoded.map_err(|source| sqlx::Error::ColumnDecode { index: row.column(index).name().to_owned(), source })
}

/// Binds a parameter. A decimal is bound as a number when a double holds it exactly, else as text.
pub(super) fn bind(
    query: Query<'_, Sqlite, SqliteArguments>,
    parameter: Cell,
) -> Query<'_, Sqlite, SqliteArguments> {
    match parameter {
        Cell::Null => query.bind(None::<String>),
        Cell::Bool(value) => query.bind(value),
        Cell::Integer(value) => query.bind(value),
        Cell::Float(value) => query.bind(value),
        Cell::Decimal(_) => match parameter.to_json() {
            serde_json::Value::Number(number) => query.bind(number.as_f64()),
            text => query.bind(text.as_str().map(str::to_owned)),
        },
        Cell::Text(value) => query.bind(value),
        Cell::Json(value) => query.bind(value.to_string()),
        Cell::Bytes(value) => query.bind(value),
    }
}
