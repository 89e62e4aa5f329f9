//! The function wall of PostgreSQL: every called function is looked up, a volatile one is refused.
//!
//! Looked up is what a call may look like too: a name after a dot, an operator, a cast.

use loom_fabric::Dialect;
use sqlx::postgres::PgConnection;

use super::Census;
use crate::failure::Failure;

/// Volatile functions of `pg_catalog` that only read.
const ALLOWED: &[&str] = &[
    "random",
    "clock_timestamp",
    "gen_random_uuid",
    "pg_column_size",
    "pg_database_size",
    "pg_indexes_size",
    "pg_relation_size",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
];

/// Functions that run a query given as text, whatever their volatility says, or dump whole schemas.
const QUERY_RUNNERS: &[&str] = &[
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
    "xslt_process",
];

/// Words that look like calls but are grammar, in some version or other. They need no entry in `pg_proc`; where there is
/// one, it is judged like any other.
const GRAMMAR: &[&str] = &[
    "array",
    "coalesce",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "exists",
    "greatest",
    "grouping",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_value",
    "least",
    "localtime",
    "localtimestamp",
    "normalize",
    "nullif",
    "row",
    "session_user",
    "user",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
];

/// Views and tables of `pg_catalog` that read files of the server or hold credentials.
const FORBIDDEN_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_shadow",
    "pg_subscription",
    "pg_user_mapping",
    "pg_user_mappings",
];

/// Finds what a query may not call. An unqualified name counts for every schema it could be found in, with all its
/// overloads; an aggregate is as volatile as the functions it is made of.
///
/// A field is a column when every relation that it may be of has one of that name. Else it counts as a function that can
/// be called with one argument, of whatever type, but `internal`: no expression has that. A cast is refused by its
/// target, whatever is cast.
const OFFENDERS: &str = "
WITH RECURSIVE field AS (
    SELECT f.name::pg_catalog.name AS name FROM unnest($4::text[], $7::text[]) AS f (name, relation)
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = pg_catalog.to_regclass(f.relation) AND a.attname = f.name::pg_catalog.name
            AND NOT a.attisdropped)
), volatile AS (
    SELECT p.oid, p.proname, n.nspname,
           p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1
               AND p.proargtypes[0] <> 'pg_catalog.internal'::pg_catalog.regtype AS takes_one,
           p.provolatile = 'v' OR EXISTS (
               SELECT FROM pg_catalog.pg_aggregate a
               JOIN pg_catalog.pg_proc part ON part.oid IN
                   (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
               WHERE a.aggfnoid = p.oid AND part.provolatile = 'v') AS volatile
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = ANY ($2::pg_catalog.name[]) OR p.proname IN (SELECT field.name FROM field)
), target AS (
    SELECT pg_catalog.to_regtype(name)::pg_catalog.oid AS oid FROM unnest($6::text[]) AS t (name)
    UNION
    SELECT below.oid FROM target JOIN pg_catalog.pg_type t ON t.oid = target.oid
    CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) AS below (oid)
)
SELECT 'function', coalesce(c.qualifier || '.', '') || c.name, count(v.oid) = 0
FROM unnest($1::text[], $2::text[]) AS c (qualifier, name)
LEFT JOIN volatile v ON v.proname = c.name::pg_catalog.name
    AND CASE WHEN c.qualifier IS NULL THEN v.nspname = ANY (current_schemas(true))
             ELSE v.nspname = c.qualifier::pg_catalog.name END
GROUP BY c.qualifier, c.name
HAVING count(v.oid) = 0 OR bool_or(v.volatile AND NOT (v.nspname = 'pg_catalog' AND v.proname = ANY ($3::name[])))
UNION ALL
SELECT DISTINCT 'field', v.proname::text, false
FROM volatile v JOIN field ON field.name = v.proname
WHERE v.volatile AND v.takes_one AND v.nspname = ANY (current_schemas(true))
    AND NOT (v.nspname = 'pg_catalog' AND v.proname = ANY ($3::name[]))
UNION ALL
SELECT DISTINCT 'operator', o.oprname::text, false
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
WHERE p.provolatile = 'v' AND o.oprname = ANY ($5::name[])
UNION ALL
SELECT DISTINCT 'cast to', format_type(c.casttarget, NULL), false
FROM pg_catalog.pg_cast c JOIN target ON target.oid = c.casttarget JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
WHERE p.provolatile = 'v'";

/// Refuses a query that calls a volatile function off the list, or one that is not known.
pub(crate) async fn check(connection: &mut PgConnection, census: &Census) -> Result<(), Failure> {
    if let Some(relation) =
        census.relations.iter().find(|relation| FORBIDDEN_RELATIONS.contains(&relation.base.as_str()))
    {
        return Err(Failure::refused(format!("the table {relation} is not allowed")));
    }
    if let Some(runner) = census.functions.iter().find(|call| QUERY_RUNNERS.contains(&call.base.as_str())) {
        return Err(Failure::refused(format!("the function {runner} is not allowed")));
    }
    if let Some(field) = census.fields.iter().find(|field| QUERY_RUNNERS.contains(&field.name.as_str())) {
        return Err(Failure::refused(field_may_call(&field.name)));
    }
    let calls: Vec<_> = census.functions.iter().collect();
    if calls.is_empty() && census.fields.is_empty() && census.operators.is_empty() && census.types.is_empty()
    {
        return Ok(());
    }
    let (fields, relations) = fields(census);
    let offenders: Vec<(String, String, bool)> = sqlx::query_as(OFFENDERS)
        .persistent(false)
        .bind(calls.iter().map(|call| call.qualifier.clone()).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.base.clone()).collect::<Vec<_>>())
        .bind(ALLOWED)
        .bind(fields)
        .bind(census.operators.iter().cloned().collect::<Vec<_>>())
        .bind(census.types.iter().cloned().collect::<Vec<_>>())
        .bind(relations)
        .fetch_all(connection)
        .await
        .map_err(|error| crate::postgres::failure(&error))?;
    let is_grammar = |name: &String| {
        calls.iter().any(|call| !call.quoted && call.qualifier.is_none() && call.base == *name)
            && GRAMMAR.contains(&name.as_str())
    };
    match offenders.iter().find(|(_, name, missing)| !(*missing && is_grammar(name))) {
        None => Ok(()),
        Some((_, name, true)) => Err(Failure::refused(format!("there is no function {name}"))),
        Some((kind, name, false)) if kind == "field" => Err(Failure::refused(field_may_call(name))),
        Some((kind, name, false)) => Err(Failure::refused(format!(
            "the {kind} {name} is volatile, it may change data, and is not allowed"
        ))),
    }
}

/// Fields, each beside a relation that must have it as a column; beside none when that would prove nothing.
fn fields(census: &Census) -> (Vec<String>, Vec<Option<String>>) {
    let quote = |name: &str| Dialect::Postgres.quote(name);
    let mut pairs = Vec::new();
    for field in &census.fields {
        let relations = census.relations_of(field);
        if relations.is_empty() {
            pairs.push((field.name.clone(), None));
        }
        for relation in relations {
            let schema = relation.qualifier.as_deref().map(|schema| format!("{}.", quote(schema)));
            let relation = format!("{}{}", schema.unwrap_or_default(), quote(&relation.base));
            pairs.push((field.name.clone(), Some(relation)));
        }
    }
    pairs.into_iter().unzip()
}

fn field_may_call(name: &str) -> String {
    format!(
        "{name} after a dot may call the function {name}, which may change data, and is not allowed; write a column of \
         that name alone, without its table, or rename it: FROM (SELECT {name} AS other FROM …) AS t"
    )
}
