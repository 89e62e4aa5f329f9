//! What to group by so that each labelled thing is one group.

use super::bind::{Columns, column_sql};
use crate::{Dialect, Table};

/// The columns to group by: two customers called Smith are two groups, all customers of Brazil are one.
pub(super) fn key_sql(label: &Columns<'_>, dialect: Dialect) -> String {
    let names_rows = label.columns.iter().any(|column| names_its_row(label.table, &column.name));
    let by_key = names_rows && !label.table.primary_key.is_empty();
    let columns: Vec<&str> = if by_key {
        label.table.primary_key.iter().map(String::as_str).collect()
    } else {
        label.columns.iter().map(|column| column.name.as_str()).collect()
    };
    let quoted: Vec<String> = columns.iter().map(|column| column_sql(dialect, label.table, column)).collect();
    quoted.join(", ")
}

/// Whether a column names the thing that a row of `table` is (`Artist.Name`, `Customer.LastName`,
/// `categories.category_name`), rather than something the thing has (`Customer.Country`, `Product.CategoryName`).
///
/// A schema does not say, so this goes by the names in use: when in doubt it is something the thing has.
pub fn names_its_row(table: &Table, column: &str) -> bool {
    const NAMES: [&str; 10] =
        ["name", "title", "label", "code", "sku", "email", "username", "login", "slug", "nickname"];
    const KINDS_OF_NAME: [&str; 15] = [
        "first", "last", "full", "given", "family", "middle", "display", "user", "nick", "legal", "contact",
        "company", "sur", "fore", "short",
    ];
    const PERSON: [&str; 5] = ["firstname", "lastname", "surname", "familyname", "givenname"];
    if table.primary_key.iter().any(|key| key.eq_ignore_ascii_case(column)) {
        return true;
    }
    let column = letters(column);
    // A person's title is the job they have.
    if column == "title" && table.columns.iter().any(|other| PERSON.contains(&letters(&other.name).as_str()))
    {
        return false;
    }
    let table = letters(&table.resource.name);
    if NAMES.contains(&column.as_str()) || same_thing(&column, &table) {
        return true;
    }
    NAMES.iter().filter_map(|name| column.strip_suffix(name)).any(|prefix| {
        same_thing(prefix, &table) || (column.ends_with("name") && KINDS_OF_NAME.contains(&prefix))
    })
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `customer` and `customers`, `category` and `categories`.
fn same_thing(one: &str, table: &str) -> bool {
    !one.is_empty()
        && (table == one
            || table.strip_suffix('s') == Some(one)
            || table.strip_suffix("es") == Some(one)
            || table.strip_suffix("ies").is_some_and(|stem| one.strip_suffix('y') == Some(stem)))
}
