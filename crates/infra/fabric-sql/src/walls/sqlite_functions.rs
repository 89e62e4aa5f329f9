//! The function wall of SQLite: a list of functions that read and compute, nothing else.

use super::Census;
use crate::failure::Failure;

/// Functions that can be called. Left out are those that take memory without bound (`randomblob`, `zeroblob`, `printf`,
/// `format`), reach outside (`load_extension`, `readfile`, `writefile`, `edit`), hand out pointers (`fts3_tokenizer`)
/// or tell about the connection.
const FUNCTIONS: &[&str] = &[
    // Core: https://sqlite.org/lang_corefunc.html
    "abs",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "glob",
    "hex",
    "ifnull",
    "iif",
    "if",
    "instr",
    "length",
    "like",
    "likelihood",
    "likely",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "octet_length",
    "quote",
    "random",
    "replace",
    "round",
    "rtrim",
    "sign",
    "soundex",
    "sqlite_version",
    "substr",
    "substring",
    "trim",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unlikely",
    "upper",
    // Date and time: https://sqlite.org/lang_datefunc.html
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "julianday",
    "strftime",
    "time",
    "timediff",
    "unixepoch",
    // Aggregates: https://sqlite.org/lang_aggfunc.html
    "avg",
    "count",
    "group_concat",
    "median",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "string_agg",
    "sum",
    "total",
    // Windows: https://sqlite.org/windowfunctions.html
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
    // Mathematics: https://sqlite.org/lang_mathfunc.html
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "ceiling",
    "cos",
    "cosh",
    "degrees",
    "exp",
    "floor",
    "ln",
    "log",
    "log10",
    "log2",
    "mod",
    "pi",
    "pow",
    "power",
    "radians",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    // JSON: https://sqlite.org/json1.html
    "json",
    "json_array",
    "json_array_length",
    "json_each",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_tree",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    // Full text: https://sqlite.org/fts5.html
    "bm25",
    "highlight",
    "snippet",
    // Schema, as tables
    "pragma_foreign_key_list",
    "pragma_index_info",
    "pragma_index_list",
    "pragma_index_xinfo",
    "pragma_table_info",
    "pragma_table_list",
    "pragma_table_xinfo",
];

/// Tables that are functions in disguise, by the start of their names.
const TABLE_FUNCTIONS: [&str; 5] = ["pragma_", "dbstat", "bytecode", "tables_used", "sqlite_"];

/// Tables of those names that hold the schema and statistics.
const SYSTEM_TABLES: [&str; 7] = [
    "sqlite_master",
    "sqlite_schema",
    "sqlite_sequence",
    "sqlite_stat1",
    "sqlite_stat4",
    "sqlite_temp_master",
    "sqlite_temp_schema",
];

/// Refuses a query that calls a function off the list.
pub(super) fn check(census: &Census) -> Result<(), Failure> {
    for function in &census.functions {
        if function.qualifier.is_some() || !FUNCTIONS.contains(&function.base.as_str()) {
            return Err(Failure::refused(format!("the function {function} is not allowed")));
        }
    }
    for relation in &census.relations {
        let name = relation.base.as_str();
        let disguised = TABLE_FUNCTIONS.iter().any(|start| name.starts_with(start));
        if disguised && !SYSTEM_TABLES.contains(&name) && !FUNCTIONS.contains(&name) {
            return Err(Failure::refused(format!("the table {name} is not allowed")));
        }
    }
    Ok(())
}
