//! Binds parameters by the types that PostgreSQL infers for them.

use loom_fabric::Cell;
use sqlx::postgres::{PgArguments, PgConnection, PgTypeInfo, types::Oid};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, SqlSafeStr as _, Statement as _};

use super::failure;
use crate::failure::Failure;
use crate::walls::AdmittedQuery;

/// A query with what is bound to it.
pub(super) struct Bound {
    pub(super) sql: String,
    pub(super) arguments: PgArguments,
}

/// Encodes `parameters`. Numbers and truth values go as what they are; everything else goes as text and is cast by
/// PostgreSQL to the type inferred, so that a text can be a date, a UUID or a label of an enum.
pub(super) async fn bind(
    connection: &mut PgConnection,
    query: &AdmittedQuery,
    parameters: Vec<Cell>,
) -> Result<Bound, Failure> {
    let mut bound = Bound { sql: query.sql.clone(), arguments: PgArguments::default() };
    if parameters.is_empty() {
        return Ok(bound);
    }
    let inferred = infer(connection, &query.sql).await?;
    let mut casts = vec![None; parameters.len()];
    for (index, parameter) in parameters.into_iter().enumerate() {
        let target = inferred.get(index).map(String::as_str);
        add(&mut bound.arguments, parameter, target, &mut casts[index])
            .map_err(|error| Failure::failed(format!("parameter {}: {error}", index + 1)))?;
    }
    for placeholder in query.placeholders.iter().rev() {
        if let Some(cast) = casts.get(placeholder.number - 1).and_then(Option::as_ref) {
            let expression = format!("(${}::text::{cast})", placeholder.number);
            bound.sql.replace_range(placeholder.range.clone(), &expression);
        }
    }
    Ok(bound)
}

/// The SQL names of the types that PostgreSQL infers for the parameters.
async fn infer(connection: &mut PgConnection, sql: &str) -> Result<Vec<String>, Failure> {
    let statement =
        connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(|error| failure(&error))?;
    let types: &[PgTypeInfo] = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    let oids: Vec<Oid> = types.iter().filter_map(PgTypeInfo::oid).collect();
    sqlx::query_scalar(
        "SELECT format_type(t.oid, -1) FROM unnest($1) WITH ORDINALITY AS t (oid, n) ORDER BY n",
    )
    .persistent(false)
    .bind(oids)
    .fetch_all(connection)
    .await
    .map_err(|error| failure(&error))
}

/// Adds one argument and sets the type it must be cast to.
fn add(
    arguments: &mut PgArguments,
    parameter: Cell,
    target: Option<&str>,
    cast: &mut Option<String>,
) -> Result<(), sqlx::error::BoxDynError> {
    let target = target.unwrap_or("text");
    let mut as_text = |arguments: &mut PgArguments, text: Option<String>, target: &str| {
        if target != "text" {
            *cast = Some(target.to_owned());
        }
        arguments.add(text)
    };
    match parameter {
        Cell::Null => as_text(arguments, None, target),
        Cell::Bool(value) if target == "boolean" => arguments.add(value),
        Cell::Bool(value) => as_text(arguments, Some(value.to_string()), target),
        Cell::Integer(value) => match (target, i16::try_from(value), i32::try_from(value)) {
            ("smallint", Ok(small), _) => arguments.add(small),
            ("integer", _, Ok(int)) => arguments.add(int),
            ("smallint" | "integer", ..) => arguments.add(value),
            _ => as_text(arguments, Some(value.to_string()), target),
        },
        Cell::Float(value) if is_whole_number(target) => arguments.add(value),
        Cell::Float(value) => as_text(arguments, Some(value.to_string()), target),
        Cell::Decimal(text) if is_whole_number(target) => as_text(arguments, Some(text), "numeric"),
        Cell::Decimal(text) | Cell::Text(text) => as_text(arguments, Some(text), target),
        Cell::Json(value) => as_text(arguments, Some(value.to_string()), target),
        Cell::Bytes(bytes) => arguments.add(bytes),
    }
}

/// A fraction compared with one of these must not be rounded to it.
fn is_whole_number(target: &str) -> bool {
    matches!(target, "smallint" | "integer" | "bigint")
}
