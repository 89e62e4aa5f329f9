//! Turns a parameter's value into something that may stand in SQL.

use serde_json::Value;

use loom_base::nearest;
use loom_patterns::{Parameter, ParameterKind};

use super::RenderError;
use crate::{Cell, Column, Dialect, Schema, Table, TypeClass};

/// What a parameter is bound to.
pub(super) enum Bound<'a> {
    Table(&'a Table),
    Columns(Columns<'a>),
    Value(Cell),
}

/// One or more columns of a table.
pub(super) struct Columns<'a> {
    pub(super) table: &'a Table,
    pub(super) columns: Vec<&'a Column>,
}

impl<'a> Bound<'a> {
    pub(super) fn table(&self) -> Option<&'a Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::Columns(columns) => Some(columns.table),
            Self::Value(_) => None,
        }
    }
}

impl Columns<'_> {
    /// The column; several are shown as one text, joined by a space, without those that are NULL.
    pub(super) fn sql(&self, dialect: Dialect) -> String {
        let column = |column: &&Column| column_sql(dialect, self.table, &column.name);
        if let [single] = self.columns.as_slice() {
            return column(single);
        }
        let texts: Vec<String> =
            self.columns.iter().map(|c| format!("COALESCE(CAST({} AS TEXT), '')", column(c))).collect();
        format!("NULLIF(TRIM({}), '')", texts.join(" || ' ' || "))
    }
}

pub(super) fn table_sql(dialect: Dialect, table: &Table) -> String {
    let name = dialect.quote(&table.resource.name);
    match &table.resource.namespace {
        Some(namespace) => format!("{}.{name}", dialect.quote(namespace)),
        None => name,
    }
}

pub(super) fn column_sql(dialect: Dialect, table: &Table, column: &str) -> String {
    format!("{}.{}", table_sql(dialect, table), dialect.quote(column))
}

/// How many names an error shows at most.
const MAX_NAMES_SHOWN: usize = 12;

pub(super) struct Binder<'a> {
    pub(super) dialect: Dialect,
    pub(super) schema: &'a Schema,
}

impl<'a> Binder<'a> {
    pub(super) fn bind(
        &self,
        parameter: &Parameter,
        value: &Value,
        table: Option<&'a Table>,
    ) -> Result<Bound<'a>, RenderError> {
        let Some(kind) = parameter.kind() else {
            return Err(RenderError::UnknownPlaceholder { name: parameter.name.clone() });
        };
        match kind {
            ParameterKind::Table => self.table(parameter, value).map(Bound::Table),
            ParameterKind::Number => number(parameter, value).map(Bound::Value),
            ParameterKind::Text => text(parameter, value).map(Bound::Value),
            ParameterKind::Label => self.label(parameter, value, table).map(Bound::Columns),
            ParameterKind::Column | ParameterKind::Measure | ParameterKind::Time => {
                let name = name(parameter, value, "a column's name")?;
                let (table, column) = self.column(parameter, name, table)?;
                self.check_class(parameter, kind, table, column)?;
                Ok(Bound::Columns(Columns { table, columns: vec![column] }))
            }
        }
    }

    pub(super) fn table(&self, parameter: &Parameter, value: &Value) -> Result<&'a Table, RenderError> {
        let name = name(parameter, value, "a table's name")?;
        self.schema.table(name).ok_or_else(|| {
            let names: Vec<String> = self.schema.tables.iter().map(|t| t.resource.qualified_name()).collect();
            RenderError::UnknownTable {
                parameter: parameter.name.clone(),
                name: name.to_owned(),
                near: near(name, names),
            }
        })
    }

    fn label(
        &self,
        parameter: &Parameter,
        value: &Value,
        table: Option<&'a Table>,
    ) -> Result<Columns<'a>, RenderError> {
        let values = match value {
            Value::Array(values) if !values.is_empty() => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        let mut label: Option<Columns<'a>> = None;
        for value in values {
            let name = name(parameter, value, "a column's name, or a list of such names")?;
            let (table, column) = self.column(parameter, name, table)?;
            match &mut label {
                None => label = Some(Columns { table, columns: vec![column] }),
                Some(label) if std::ptr::eq(label.table, table) => label.columns.push(column),
                Some(label) => {
                    return Err(RenderError::TwoTables {
                        parameter: parameter.name.clone(),
                        first: label.table.resource.qualified_name(),
                        second: table.resource.qualified_name(),
                    });
                }
            }
        }
        label.ok_or_else(|| RenderError::missing(parameter))
    }

    /// The column that `name` means: a column of `table`, or one written with its table.
    fn column(
        &self,
        parameter: &Parameter,
        name: &str,
        table: Option<&'a Table>,
    ) -> Result<(&'a Table, &'a Column), RenderError> {
        if let Some(found) = table.and_then(|table| Some((table, table.column(name)?))) {
            return Ok(found);
        }
        let mut named_table = None;
        for (dot, _) in name.rmatch_indices('.') {
            let Some(table) = self.schema.table(&name[..dot]) else { continue };
            if let Some(column) = table.column(&name[dot + 1..]) {
                return Ok((table, column));
            }
            named_table = named_table.or(Some((table, &name[dot + 1..])));
        }
        let unknown_column = |table: &Table, column: &str| RenderError::UnknownColumn {
            parameter: parameter.name.clone(),
            table: table.resource.qualified_name(),
            column: column.to_owned(),
            near: near(column, table.columns.iter().map(|column| column.name.clone()).collect()),
        };
        if let Some((table, column)) = named_table {
            return Err(unknown_column(table, column));
        }
        if let Some((before, _)) = name.rsplit_once('.') {
            return self
                .table(parameter, &Value::from(before))
                .and_then(|table| Err(unknown_column(table, name)));
        }
        if let Some(table) = table {
            return Err(unknown_column(table, name));
        }
        let having = self.schema.tables.iter().filter(|table| table.column(name).is_some());
        let near = having.map(|table| format!("{}.{name}", table.resource.qualified_name()));
        Err(RenderError::TableNeeded {
            parameter: parameter.name.clone(),
            column: name.to_owned(),
            near: near.take(MAX_NAMES_SHOWN).collect(),
        })
    }

    fn check_class(
        &self,
        parameter: &Parameter,
        kind: ParameterKind,
        table: &Table,
        column: &Column,
    ) -> Result<(), RenderError> {
        let (expected, fits): (_, fn(Dialect, TypeClass) -> bool) = match kind {
            ParameterKind::Measure => {
                ("a numeric column", |_, class| matches!(class, TypeClass::Integer | TypeClass::Number))
            }
            // SQLite has no date type: dates often stand in columns declared as text.
            ParameterKind::Time => ("a column of dates or times", |dialect, class| {
                class == TypeClass::Time || (dialect == Dialect::Sqlite && class == TypeClass::Text)
            }),
            ParameterKind::Table
            | ParameterKind::Column
            | ParameterKind::Label
            | ParameterKind::Number
            | ParameterKind::Text => return Ok(()),
        };
        // What a view or a generated column computes has no declared type, so it may be anything.
        if column.data_type.is_empty() || fits(self.dialect, column.class) {
            return Ok(());
        }
        let suitable = table.columns.iter().filter(|column| fits(self.dialect, column.class));
        Err(RenderError::WrongColumn {
            parameter: parameter.name.clone(),
            column: format!("{}.{}", table.resource.qualified_name(), column.name),
            expected,
            found: column.data_type.clone(),
            near: suitable.map(|column| column.name.clone()).take(MAX_NAMES_SHOWN).collect(),
        })
    }
}

/// The one that was probably meant, else the first few.
fn near(name: &str, mut names: Vec<String>) -> Vec<String> {
    if let Some(meant) = nearest(name, names.iter().map(String::as_str)) {
        return vec![meant.to_owned()];
    }
    names.truncate(MAX_NAMES_SHOWN);
    names
}

fn name<'v>(parameter: &Parameter, value: &'v Value, expected: &'static str) -> Result<&'v str, RenderError> {
    value.as_str().ok_or_else(|| wrong(parameter, value, expected))
}

fn number(parameter: &Parameter, value: &Value) -> Result<Cell, RenderError> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(wrong(parameter, value, "a number")),
    };
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(Cell::Integer(integer));
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(whole(float).map_or(Cell::Float(float), Cell::Integer)),
        _ => Err(wrong(parameter, value, "a number")),
    }
}

/// `5.0` as 5: programs write whole numbers so, and a row limit must be whole.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(float: f64) -> Option<i64> {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    (float.fract() == 0.0 && float.abs() <= LARGEST_EXACT).then_some(float as i64)
}

fn text(parameter: &Parameter, value: &Value) -> Result<Cell, RenderError> {
    match value {
        Value::String(text) => Ok(Cell::Text(text.clone())),
        Value::Number(number) => Ok(Cell::Text(number.to_string())),
        Value::Bool(truth) => Ok(Cell::Text(truth.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong(parameter, value, "a text")),
    }
}

fn wrong(parameter: &Parameter, value: &Value, expected: &'static str) -> RenderError {
    const MAX_SHOWN: usize = 60;
    let found = value.to_string().chars().take(MAX_SHOWN).collect();
    RenderError::WrongValue { parameter: parameter.name.clone(), expected, found }
}
