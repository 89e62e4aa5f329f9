//! What a backend holds.

use serde::{Deserialize, Serialize};

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A stored table.
    Table,
    /// A stored query.
    View,
}

/// A table or view, without its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its namespace; `None` for the default one (SQLite's `main`, PostgreSQL's first in `search_path`).
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ResourceKind,
    /// About how many rows it has; `None` when the engine does not know.
    pub row_estimate: Option<u64>,
}

/// Everything a backend holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Tables and views, by name.
    pub tables: Vec<Table>,
}

/// A table or view with its columns and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table itself.
    #[serde(flatten)]
    pub resource: Resource,
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in order; empty for none.
    pub primary_key: Vec<String>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
}

/// What a column's values are, across engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeClass {
    /// Whole numbers.
    Integer,
    /// Numbers with a fraction.
    Number,
    /// Text.
    Text,
    /// Truth values.
    Boolean,
    /// Dates and times, also when the engine stores them as text under a date type.
    Time,
    /// Anything else.
    Other,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as the engine names it.
    pub data_type: String,
    /// What its values are.
    pub class: TypeClass,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A reference from columns of one table to those of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The referring columns, in order.
    pub columns: Vec<String>,
    /// The namespace of the table referred to, as in [`Resource::namespace`].
    pub references_namespace: Option<String>,
    /// The table referred to.
    pub references_table: String,
    /// The columns referred to, in the same order.
    pub references_columns: Vec<String>,
}

impl Resource {
    /// `namespace.name`, or the bare name in the default namespace.
    pub fn qualified_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Table {
    /// The column of that name: exact, else the only one that differs in case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        find_by_name(&self.columns, name, |column| &column.name)
    }
}

impl Schema {
    /// The table of that name, qualified or not: exact, else the only one that differs in case.
    pub fn table(&self, name: &str) -> Option<&Table> {
        let qualified = self.tables.iter().find(|table| table.resource.qualified_name() == name);
        qualified.or_else(|| find_by_name(&self.tables, name, |table| &table.resource.name))
    }
}

fn find_by_name<'a, T>(items: &'a [T], name: &str, name_of: impl Fn(&T) -> &String) -> Option<&'a T> {
    items.iter().find(|item| name_of(item) == name).or_else(|| {
        let mut matches = items.iter().filter(|item| name_of(item).eq_ignore_ascii_case(name));
        matches.next().filter(|_| matches.next().is_none())
    })
}
