//! The schema tool's answer: tables, columns, and the ways from a referring table to those it refers to.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::listing::{ColumnJson, Listing, TableJson};
use crate::words;

/// What a backend holds.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// The engine's language.
    pub(crate) dialect: String,
    /// Whether there is more of it than the tool could show.
    pub(crate) is_cut: bool,
    pub(crate) tables: Vec<Table>,
}

#[derive(Debug)]
pub(crate) struct Table {
    /// Its qualified name.
    pub(crate) name: String,
    /// The words of its bare name, in lower case.
    pub(crate) words: Vec<String>,
    /// Empty while the table is known by its name only.
    pub(crate) columns: Vec<Column>,
    /// Whether its columns and keys were shown.
    pub(crate) is_described: bool,
    primary_key: Vec<String>,
    pub(crate) references: Vec<Reference>,
}

/// A foreign key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The table referred to.
    pub(crate) to: usize,
    /// The referring columns.
    pub(crate) columns: Vec<String>,
    /// The columns referred to; empty for the primary key.
    referred: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The words of its name, in lower case, without those of its table in front.
    pub(crate) words: Vec<String>,
    /// All of its name as one word, in lower case.
    pub(crate) joined: String,
    pub(crate) class: Class,
    /// Whether it identifies a row, here or elsewhere.
    pub(crate) is_key: bool,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Integer,
    Number,
    Text,
    Boolean,
    Time,
    #[default]
    #[serde(other)]
    Other,
}

impl Class {
    pub(crate) const fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }
}

/// How one table reaches another by following foreign keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Through these tables, the last being the one reached; empty for the table itself.
    Through(Vec<usize>),
    /// In more than one way.
    Ambiguous,
    /// In no way.
    None,
}

/// Words in table names that tell people nothing.
const NOISE: &[&str] = &["tbl", "table", "dim", "fact", "t", "vw", "view"];
/// Endings of columns that identify rather than count.
const KEY_WORDS: &[&str] = &["id", "key", "uuid", "guid"];
/// Names of columns that hold numbers but are never summed.
const CODE_WORDS: &[&str] = &["code", "zip", "postcode", "postal", "phone", "fax", "year", "month", "no"];

/// Endings of columns that hold dates or times. SQLite has no type of its own for those and keeps them as texts.
const TIME_WORDS: &[&str] = &["date", "datetime", "time", "timestamp", "at", "on"];

/// Units that end a column's name without saying what it holds.
const UNITS: &[&str] = &[
    "kg", "g", "mg", "lb", "oz", "km", "m", "m2", "m3", "cm", "mm", "mi", "ft", "l", "ml", "kb", "mb", "gb",
    "usd", "eur", "gbp", "pct", "ms", "sec", "hrs",
];

impl Schema {
    /// The schema that was listed.
    pub(crate) fn new(listing: Listing) -> Self {
        let places: BTreeMap<String, usize> =
            listing.tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
        let keeps_times_as_texts = listing.dialect == "sqlite";
        let table = |table: TableJson| {
            let words = bare_words(&table.name);
            let is_foreign = |name: &String| table.foreign_keys.iter().any(|key| key.columns.contains(name));
            let is_described = table.columns.is_some();
            let columns = table
                .columns
                .unwrap_or_default()
                .into_iter()
                .map(|column| {
                    let is_key = table.primary_key.contains(&column.name) || is_foreign(&column.name);
                    let mut column = Column::new(column, &words, is_key);
                    if keeps_times_as_texts && column.is_dated_text() {
                        column.class = Class::Time;
                    }
                    column
                })
                .collect();
            let mut references: Vec<Reference> = Vec::new();
            for key in table.foreign_keys {
                let Some(to) = places.get(&key.references_table).copied() else { continue };
                let reference = Reference { to, columns: key.columns, referred: key.references_columns };
                if !references.contains(&reference) {
                    references.push(reference);
                }
            }
            Table {
                name: table.name,
                words,
                columns,
                is_described,
                primary_key: table.primary_key,
                references,
            }
        };
        Self {
            dialect: listing.dialect,
            is_cut: listing.is_cut,
            tables: listing.tables.into_iter().map(table).collect(),
        }
    }

    /// How much of it is known, when it is not known whole.
    pub(crate) fn cut_note(&self) -> Option<String> {
        let described = self.tables.iter().filter(|table| table.is_described).count();
        self.is_cut.then(|| {
            format!(
                "The schema is too large to be shown to me whole: I know the names of {} tables and the columns of \
                 {described} of them.",
                self.tables.len()
            )
        })
    }

    /// The referring and the referred column of the only foreign key from one table to another; `None` when there is
    /// none, more than one, or one of several columns.
    pub(crate) fn reference(&self, from: usize, to: usize) -> Option<(&str, &str)> {
        let mut keys = self.tables.get(from)?.references.iter().filter(|reference| reference.to == to);
        let only = keys.next().filter(|_| keys.next().is_none())?;
        let referred =
            if only.referred.is_empty() { &self.tables.get(to)?.primary_key } else { &only.referred };
        match (only.columns.as_slice(), referred.as_slice()) {
            ([column], [referred]) => Some((column, referred)),
            _ => None,
        }
    }

    /// The shortest way from `from` to `to`, many-to-one all along, so that nothing is counted twice.
    pub(crate) fn path(&self, from: usize, to: usize) -> Path {
        let mut ways: BTreeMap<usize, (Vec<usize>, usize)> = BTreeMap::from([(from, (Vec::new(), 1))]);
        let mut edge = vec![from];
        while !edge.is_empty() && !ways.contains_key(&to) {
            let mut reached: BTreeMap<usize, (Vec<usize>, usize)> = BTreeMap::new();
            for table in edge {
                let (steps, count) = ways.get(&table).cloned().unwrap_or_default();
                let references = self.tables.get(table).into_iter().flat_map(|table| &table.references);
                for next in references.map(|reference| &reference.to) {
                    if ways.contains_key(next) {
                        continue;
                    }
                    let way =
                        reached.entry(*next).or_insert_with(|| ([steps.as_slice(), &[*next]].concat(), 0));
                    way.1 = way.1.saturating_add(count);
                }
            }
            edge = reached.keys().copied().collect();
            ways.append(&mut reached);
        }
        match ways.remove(&to) {
            Some((steps, 1)) => Path::Through(steps),
            Some(_) => Path::Ambiguous,
            None => Path::None,
        }
    }
}

impl Table {
    pub(crate) fn has_key(&self) -> bool {
        !self.primary_key.is_empty()
    }

    /// The columns that name its rows: several are to be shown together. Empty when nothing does.
    pub(crate) fn naming_columns(&self) -> Vec<usize> {
        let with = |words: &[&str]| {
            self.columns
                .iter()
                .position(|column| !column.is_key && column.class == Class::Text && column.words == words)
        };
        let ending = |word: &str| {
            let ends = |column: &Column| column.words.last().is_some_and(|last| last == word);
            self.columns
                .iter()
                .position(|column| !column.is_key && column.class == Class::Text && ends(column))
        };
        if let Some(name) = with(&["name"]).or_else(|| with(&["full", "name"])) {
            return vec![name];
        }
        for (given, family) in [("first", "last"), ("given", "family"), ("first", "sur")] {
            let given = with(&[given, "name"]).or_else(|| with(&[&format!("{given}name")]));
            let family = with(&[family, "name"]).or_else(|| with(&[&format!("{family}name")]));
            if let (Some(given), Some(family)) = (given, family) {
                return vec![given, family];
            }
        }
        let by_word = ["title", "label"].iter().find_map(|word| with(&[word])).or_else(|| ending("name"));
        // A number of the thing itself names it; that of something else, such as a phone, does not.
        let by_word = by_word
            .or_else(|| ["title", "label"].iter().find_map(|word| ending(word)))
            .or_else(|| ["code", "email", "number", "reference"].iter().find_map(|word| with(&[word])));
        let key = || match self.primary_key.as_slice() {
            [only] => self.columns.iter().position(|column| column.name == *only),
            _ => None,
        };
        let text = || self.columns.iter().position(|column| column.class == Class::Text);
        by_word.or_else(key).or_else(text).into_iter().collect()
    }
}

impl Column {
    fn new(column: ColumnJson, table: &[String], is_key: bool) -> Self {
        let all = lower_words(&column.name);
        let joined = all.concat();
        let stems = |words: &[String]| words.iter().map(|word| words::stem(word)).collect::<Vec<_>>();
        let after_table = all.get(table.len()..).filter(|rest| !rest.is_empty());
        let words = match after_table {
            Some(rest) if stems(&all).starts_with(&stems(table)) => rest.to_vec(),
            _ => all,
        };
        let mut words = words;
        if words.len() > 1 && words.last().is_some_and(|last| UNITS.contains(&last.as_str())) {
            words.pop();
        }
        let ends_as_key = words.last().is_some_and(|last| KEY_WORDS.contains(&last.as_str()));
        Self { name: column.name, words, joined, class: column.class, is_key: is_key || ends_as_key }
    }

    fn is_dated_text(&self) -> bool {
        let ends_as_time = self.words.last().is_some_and(|last| TIME_WORDS.contains(&last.as_str()));
        self.class == Class::Text && !self.is_key && ends_as_time
    }

    /// Whether its values can be added up or averaged.
    pub(crate) fn is_measure(&self) -> bool {
        let is_code = self.words.last().is_some_and(|last| CODE_WORDS.contains(&last.as_str()));
        self.class.is_numeric() && !self.is_key && !is_code
    }

    /// Whether it is a value for one piece rather than for a row.
    pub(crate) fn is_for_one(&self) -> bool {
        self.words.iter().any(|word| matches!(word.as_str(), "unit" | "per" | "rate"))
    }
}

fn lower_words(name: &str) -> Vec<String> {
    words::split(name).into_iter().map(str::to_lowercase).collect()
}

/// The words of a name without its namespace and its noise.
fn bare_words(name: &str) -> Vec<String> {
    let words = lower_words(name.rsplit('.').next().unwrap_or(name));
    let telling: Vec<String> = words.iter().filter(|word| !NOISE.contains(&word.as_str())).cloned().collect();
    if telling.is_empty() { words } else { telling }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(tables: &serde_json::Value) -> Schema {
        let overview = serde_json::json!({"dialect": "sqlite", "tables": tables}).to_string();
        Schema::new(Listing::read(&overview, []).unwrap())
    }

    fn table(name: &str, columns: &[(&str, &str)], references: &[(&str, &str)]) -> serde_json::Value {
        let columns: Vec<_> =
            columns.iter().map(|(name, class)| serde_json::json!({"name": name, "class": class})).collect();
        let keys: Vec<_> = references
            .iter()
            .map(|(column, to)| serde_json::json!({"columns": [column], "references_table": to, "references_columns": ["id"]}))
            .collect();
        serde_json::json!({"name": name, "columns": columns, "primary_key": ["id"], "foreign_keys": keys})
    }

    #[test]
    fn a_way_leads_from_the_referring_table_only_and_must_be_the_only_one() {
        let id = [("id", "integer")];
        let tables = serde_json::json!([
            table("line", &id, &[("order_id", "order"), ("item_id", "item")]),
            table("order", &id, &[("client_id", "client")]),
            table("client", &id, &[]),
            table("item", &id, &[]),
            table("leg", &id, &[("from_id", "client"), ("to_id", "client")]),
        ]);
        let schema = schema(&tables);
        assert_eq!(schema.path(0, 0), Path::Through(vec![]));
        assert_eq!(schema.path(0, 2), Path::Through(vec![1, 2]));
        assert_eq!(schema.path(2, 0), Path::None);
        assert_eq!(schema.path(4, 2), Path::Ambiguous);
        assert_eq!(schema.path(9, 2), Path::None);
    }

    #[test]
    fn rows_are_named_by_the_column_people_would_choose() {
        let naming = |columns: &[(&str, &str)]| -> Vec<String> {
            let tables = serde_json::json!([table("staff_member", columns, &[])]);
            let schema = schema(&tables);
            let table = &schema.tables[0];
            table.naming_columns().into_iter().map(|at| table.columns[at].name.clone()).collect()
        };
        let id = ("id", "integer");
        assert_eq!(
            naming(&[id, ("title", "text"), ("last_name", "text"), ("first_name", "text")]),
            ["first_name", "last_name"]
        );
        assert_eq!(naming(&[id, ("note", "text"), ("staff_member_name", "text")]), ["staff_member_name"]);
        assert_eq!(naming(&[id, ("note", "text"), ("product_title", "text")]), ["product_title"]);
        assert_eq!(naming(&[id, ("address", "text"), ("total", "number")]), ["id"]);
        assert_eq!(
            naming(&[id, ("postal_code", "text"), ("staff_member_code", "text")]),
            ["staff_member_code"]
        );
        assert_eq!(naming(&[id, ("postal_code", "text")]), ["id"]);
        assert_eq!(naming(&[("note", "text")]), ["note"]);
        assert!(naming(&[("amount", "number")]).is_empty());
    }

    #[test]
    fn keys_and_codes_are_not_measures() {
        let columns = [
            ("id", "integer"),
            ("zip_code", "integer"),
            ("other_id", "integer"),
            ("amount", "number"),
            ("note", "text"),
        ];
        let tables = serde_json::json!([table("t", &columns, &[("ref", "t")])]);
        let schema = schema(&tables);
        let measures: Vec<&str> = schema.tables[0]
            .columns
            .iter()
            .filter(|column| column.is_measure())
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(measures, ["amount"]);
    }
}
