//! Fills a pattern's template: names are checked against the schema and quoted, values are bound, joins are found.
//!
//! Pure: it runs nothing. No name that is not in the schema and no value reaches the SQL text.

mod bind;
mod error;
mod join;
mod label;

use serde_json::{Map, Value};

use loom_patterns::{FROM, KEY_SUFFIX, Parameter, ParameterKind, Pattern, Piece, Template, TemplateDialect};

use crate::{Cell, Dialect, Schema, Table};

use bind::{Binder, Bound};
pub use error::RenderError;
pub use label::names_its_row;

/// A template filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The SQL, with a placeholder for each bound value.
    pub sql: String,
    /// The values, in the order of their placeholders.
    pub parameters: Vec<Cell>,
}

/// Fills a template of `pattern` for a backend of `dialect` that holds `schema`.
///
/// `template` is its key; without one it is the template for the dialect, else `sql`, else the only one that can be run
/// there. `given` has the caller's parameters: tables and columns by name (`Table`, `Table.Column`, or `Column` after
/// a table parameter), a label as one column or several of one table, numbers, texts. Defaults fill what is not given.
///
/// Placeholders: a parameter's name; `from`, the base table (of the table parameter, else the measure, else the time,
/// else the first column) with the joins that reach the tables of all other columns, many-to-one only, so that no row
/// counts twice, and outer, so that none is lost. A template without `from` reads only tables that are its parameters: a
/// column must be of one of them, and `x_column` of `x_table` when there are both. `label.key`: what to group by so that
/// each thing is one group, the primary key of the label's table when the label names its rows, else the label's columns.
pub fn render(
    pattern: &Pattern,
    template: Option<&str>,
    given: &Map<String, Value>,
    dialect: Dialect,
    schema: &Schema,
) -> Result<Rendered, RenderError> {
    let (key, template) = choose(pattern, template, dialect)?;
    let used = used_parameters(pattern, template);
    refuse_unused(pattern, key, &used, given)?;
    let binder = Binder { dialect, schema };
    let mut table = bind_first_table(&binder, &used, given)?;
    let mut bound = Vec::new();
    for parameter in &used {
        let value = value_of(parameter, given).ok_or_else(|| RenderError::missing(parameter))?;
        let value = binder.bind(parameter, value, table)?;
        if let Bound::Table(named) = value {
            table = Some(named);
        }
        bound.push((*parameter, value));
    }
    if !joins(pattern, template) {
        refuse_other_tables(&bound)?;
    }
    write(template, &bound, dialect, schema)
}

fn choose<'a>(
    pattern: &'a Pattern,
    wanted: Option<&str>,
    dialect: Dialect,
) -> Result<(&'a str, &'a Template), RenderError> {
    let suits = |template: &Template| {
        template.executable().is_ok_and(|written_for| match written_for {
            TemplateDialect::Any => true,
            TemplateDialect::Sqlite => dialect == Dialect::Sqlite,
            TemplateDialect::Postgres => dialect == Dialect::Postgres,
        })
    };
    let suitable = || pattern.templates.iter().filter(|(_, template)| suits(template));
    let no_template = || RenderError::NoTemplate {
        pattern: pattern.name.clone(),
        wanted: wanted.map(str::to_owned),
        dialect,
        available: suitable().map(|(key, _)| key.clone()).collect(),
    };
    if let Some(wanted) = wanted {
        let (key, template) = pattern.templates.get_key_value(wanted).ok_or_else(no_template)?;
        return match template.executable() {
            Ok(_) if suits(template) => Ok((key, template)),
            Ok(_) => Err(no_template()),
            Err(reason) => Err(RenderError::NotExecutable { template: key.clone(), reason: reason.clone() }),
        };
    }
    let by_key = |key: &str| suitable().find(|(candidate, _)| *candidate == key);
    let only = || {
        let mut all = suitable();
        all.next().filter(|_| all.next().is_none())
    };
    let chosen = by_key(dialect.as_str()).or_else(|| by_key("sql")).or_else(only);
    chosen.map(|(key, template)| (key.as_str(), template)).ok_or_else(no_template)
}

/// The parameters that `template` needs, in the order the pattern declares them. A table is also needed for `from`.
fn used_parameters<'a>(pattern: &'a Pattern, template: &Template) -> Vec<&'a Parameter> {
    let joins = joins(pattern, template);
    let is_used = |parameter: &&Parameter| {
        let named = placeholders(template).any(|name| {
            name == parameter.name || name.strip_suffix(KEY_SUFFIX) == Some(parameter.name.as_str())
        });
        named
            || (joins && parameter.kind() == Some(ParameterKind::Table))
            || template.required_parameters.contains(&parameter.name)
    };
    pattern.parameters.iter().filter(is_used).collect()
}

fn placeholders(template: &Template) -> impl Iterator<Item = &str> {
    template.pieces().iter().filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name.as_str()),
        Piece::Literal(_) => None,
    })
}

/// Whether `template` reads the tables of its columns by joins found here.
fn joins(pattern: &Pattern, template: &Template) -> bool {
    pattern.parameter(FROM).is_none() && placeholders(template).any(|name| name == FROM)
}

/// A column of a table that the template does not read would fail in the engine, with less of a reason.
fn refuse_other_tables(bound: &[(&Parameter, Bound<'_>)]) -> Result<(), RenderError> {
    let tables: Vec<(&str, &Table)> = bound
        .iter()
        .filter_map(|(parameter, bound)| match bound {
            Bound::Table(table) => Some((parameter.name.as_str(), *table)),
            Bound::Columns(_) | Bound::Value(_) => None,
        })
        .collect();
    for (parameter, bound) in bound {
        let Bound::Columns(columns) = bound else { continue };
        let its_own = parameter.name.strip_suffix("column").map(|of| format!("{of}table"));
        let its_own = tables.iter().position(|(name, _)| its_own.as_deref() == Some(*name));
        let readable = its_own.map_or(&tables[..], |place| &tables[place..=place]);
        if !readable.is_empty() && !readable.iter().any(|(_, table)| std::ptr::eq(*table, columns.table)) {
            let names = readable.iter().map(|(_, table)| table.resource.qualified_name());
            return Err(RenderError::other_table(parameter, columns, names.collect()));
        }
    }
    Ok(())
}

/// A parameter that has no effect is a misunderstanding, and its author has to know.
fn refuse_unused(
    pattern: &Pattern,
    template: &str,
    used: &[&Parameter],
    given: &Map<String, Value>,
) -> Result<(), RenderError> {
    let unused =
        given.iter().find(|(name, value)| !value.is_null() && !used.iter().any(|p| p.name == **name));
    match unused {
        None => Ok(()),
        Some((name, _)) if pattern.parameter(name).is_some() => {
            Err(RenderError::UnusedParameter { name: name.clone(), template: template.to_owned() })
        }
        Some((name, _)) => Err(RenderError::UnknownParameter {
            name: name.clone(),
            known: used.iter().map(|parameter| parameter.name.clone()).collect(),
        }),
    }
}

fn value_of<'a>(parameter: &'a Parameter, given: &'a Map<String, Value>) -> Option<&'a Value> {
    given.get(&parameter.name).filter(|value| !value.is_null()).or(parameter.default.as_ref())
}

/// The table in which columns without a table are looked up, until the next table is named.
fn bind_first_table<'a>(
    binder: &Binder<'a>,
    used: &[&Parameter],
    given: &Map<String, Value>,
) -> Result<Option<&'a Table>, RenderError> {
    let Some(parameter) = used.iter().find(|parameter| parameter.kind() == Some(ParameterKind::Table)) else {
        return Ok(None);
    };
    let value = value_of(parameter, given).ok_or_else(|| RenderError::missing(parameter))?;
    binder.table(parameter, value).map(Some)
}

fn write(
    template: &Template,
    bound: &[(&Parameter, Bound<'_>)],
    dialect: Dialect,
    schema: &Schema,
) -> Result<Rendered, RenderError> {
    let find =
        |name: &str| bound.iter().find(|(parameter, _)| parameter.name == name).map(|(_, bound)| bound);
    let mut rendered = Rendered { sql: String::new(), parameters: Vec::new() };
    let mut positions: Vec<&str> = Vec::new();
    for piece in template.pieces() {
        let name = match piece {
            Piece::Literal(text) => {
                rendered.sql.push_str(text);
                continue;
            }
            Piece::Placeholder(name) => name.as_str(),
        };
        match find(name) {
            Some(Bound::Value(cell)) => {
                let known = positions.iter().position(|position| *position == name);
                let position = known.unwrap_or_else(|| {
                    positions.push(name);
                    rendered.parameters.push(cell.clone());
                    positions.len() - 1
                });
                rendered.sql.push_str(&dialect.placeholder(position + 1));
            }
            Some(Bound::Table(table)) => rendered.sql.push_str(&bind::table_sql(dialect, table)),
            Some(Bound::Columns(columns)) => rendered.sql.push_str(&columns.sql(dialect)),
            None if name == FROM => rendered.sql.push_str(&from(bound, dialect, schema)?),
            None => {
                let label = name.strip_suffix(KEY_SUFFIX).and_then(find);
                let Some(Bound::Columns(columns)) = label else {
                    return Err(RenderError::UnknownPlaceholder { name: name.to_owned() });
                };
                rendered.sql.push_str(&label::key_sql(columns, dialect));
            }
        }
    }
    rendered.sql.truncate(rendered.sql.trim_end().len());
    Ok(rendered)
}

/// The base table and its joins.
fn from(bound: &[(&Parameter, Bound<'_>)], dialect: Dialect, schema: &Schema) -> Result<String, RenderError> {
    let tables: Vec<(ParameterKind, &Table)> =
        bound.iter().filter_map(|(parameter, bound)| Some((parameter.kind()?, bound.table()?))).collect();
    let first_of = |kind| tables.iter().find(|(of, _)| *of == kind);
    let base = first_of(ParameterKind::Table)
        .or_else(|| first_of(ParameterKind::Measure))
        .or_else(|| first_of(ParameterKind::Time))
        .or_else(|| tables.first());
    let Some((_, base)) = base else { return Err(RenderError::NoBaseTable) };
    let targets: Vec<&Table> =
        tables.iter().filter(|(kind, _)| kind.is_column_like()).map(|(_, table)| *table).collect();
    join::from_sql(schema, base, &targets, dialect)
}

#[cfg(test)]
mod tests;
