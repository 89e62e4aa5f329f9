//! The schema tool's answers, put together: an overview of everything, then tables asked for by name.

use serde::Deserialize;

use crate::partial;
use crate::schema::Class;

/// What the tool has shown of a backend so far.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The engine's language.
    pub(crate) dialect: String,
    /// Whether the overview was too long to show everything.
    pub(crate) is_cut: bool,
    pub(crate) tables: Vec<TableJson>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TableJson {
    pub(crate) name: String,
    /// `None` for a table that was shown by its name only.
    #[serde(default)]
    pub(crate) columns: Option<Vec<ColumnJson>>,
    #[serde(default)]
    columns_left_out: u64,
    #[serde(default)]
    pub(crate) primary_key: Vec<String>,
    #[serde(default)]
    pub(crate) foreign_keys: Vec<ForeignKeyJson>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ColumnJson {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) class: Class,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ForeignKeyJson {
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    pub(crate) references_table: String,
    /// Empty when the key names none: those of the primary key.
    #[serde(default)]
    pub(crate) references_columns: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    dialect: String,
    /// What the tool says of the tables and columns that it left out.
    #[serde(default)]
    note: String,
    tables: Vec<TableJson>,
}

impl Listing {
    /// Reads the overview and the `details` that followed it; the reason when the overview is something else. Details
    /// that cannot be read are no worse than none.
    pub(crate) fn read<'a>(
        overview: &str,
        details: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let partial::Read { value: all, is_cut } = partial::read::<Answer>(overview)?;
        let mut listing =
            Self { dialect: all.dialect, is_cut: is_cut || !all.note.is_empty(), tables: all.tables };
        for detail in details.into_iter().filter_map(|detail| partial::read::<Answer>(detail).ok()) {
            for table in detail.value.tables {
                listing.is_cut |= table.columns_left_out > 0;
                match listing.tables.iter_mut().find(|known| known.name == table.name) {
                    Some(known) => *known = table,
                    None => listing.tables.push(table),
                }
            }
        }
        Ok(listing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_take_the_place_of_bare_names() {
        let overview = r#"{"note": "2 tables are shown without their columns", "tables": [{"name": "a"}, {"name": "b"}]}"#;
        let details =
            [r#"{"tables": [{"name": "b", "columns": [{"name": "x", "class": "text"}]}]}"#, "no JSON"];
        let listing = Listing::read(overview, details).unwrap();
        let columns = |at: usize| listing.tables[at].columns.as_ref().map(Vec::len);
        assert_eq!((listing.tables.len(), columns(0), columns(1)), (2, None, Some(1)));
        assert!(listing.is_cut);
        assert!(Listing::read("no JSON", []).is_err());
    }

    #[test]
    fn columns_left_out_are_noticed() {
        let whole = r#"{"tables": [{"name": "a", "columns": []}]}"#;
        let narrow = r#"{"tables": [{"name": "a", "columns": [{"name": "x"}], "columns_left_out": 7}]}"#;
        assert!(!Listing::read(whole, []).unwrap().is_cut);
        assert!(Listing::read(whole, [narrow]).unwrap().is_cut);
    }
}
