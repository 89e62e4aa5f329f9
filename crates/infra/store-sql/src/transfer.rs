//! The statements by which whole tables are read and filled, in the SQL that databases share.

use loom_store::Table;

/// What a column holds, and so how it is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number,
    /// A truth value, where the database has such.
    Truth,
    /// A text.
    Text,
    /// JSON, where the database tells it from a text.
    Json,
}

/// A column that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// The columns that move, of those that a table has: in the order of their names, which is the same on every database.
pub fn moving(table: &Table, mut columns: Vec<Column>) -> Vec<Column> {
    columns.retain(|column| !table.left_out.contains(&column.name.as_str()));
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    columns
}

/// Reads rows of a table by its key, after a row when `is_after`: the key of that row is what is bound first, then the
/// number of rows. `read` says how a column is read, `parameter` how the so-many-th value is written, from 1.
pub fn select(
    table: &Table,
    columns: &[Column],
    is_after: bool,
    read: impl Fn(&Column) -> String,
    parameter: impl Fn(usize) -> String,
) -> String {
    let shown: Vec<_> = columns.iter().map(read).collect();
    let key = table.key.join(", ");
    let bound = if is_after { table.key.len() } else { 0 };
    let values: Vec<_> = (1..=bound).map(&parameter).collect();
    let after = if is_after { format!("WHERE ({key}) > ({})", values.join(", ")) } else { String::new() };
    format!(
        "SELECT {} FROM {} {after} ORDER BY {key} LIMIT {}",
        shown.join(", "),
        table.name,
        parameter(bound + 1)
    )
}

/// The names of columns, for a statement.
pub fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The places of a table's key among its columns.
pub fn key_places(table: &Table, columns: &[Column]) -> Vec<usize> {
    let place = |name: &&str| columns.iter().position(|column| column.name == *name);
    table.key.iter().filter_map(place).collect()
}
