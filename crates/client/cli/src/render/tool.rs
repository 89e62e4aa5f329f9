//! A tool call in a line: what it was given, what it brought.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::Value as Json;

use super::amounts::counted;
use super::text::shorten;

/// The widest value of an argument, and the widest line of arguments.
const MAX_VALUE: usize = 60;
const MAX_ARGUMENTS: usize = 120;
/// Arguments that say what the call is about. The first one there is comes first, without its name.
const SUBJECTS: [&str; 5] = ["pattern", "name", "question", "table", "tables"];
/// The argument that holds a query; it is shown whole, on lines of its own.
const QUERY: &str = "sql";

/// The arguments of a call on one line, without its query.
pub(crate) fn arguments(input: &Struct) -> String {
    let subject = SUBJECTS.iter().copied().find(|name| input.fields.contains_key(*name));
    let mut parts: Vec<String> =
        subject.and_then(|name| input.fields.get(name)).map(short).into_iter().collect();
    for (name, value) in &input.fields {
        if Some(name.as_str()) == subject || name == QUERY {
            continue;
        }
        match &value.kind {
            // What stands inside an object matters, not that there is one.
            Some(Kind::StructValue(inner)) => {
                parts.extend(inner.fields.iter().map(|(name, value)| named(name, value)));
            }
            _ => parts.push(named(name, value)),
        }
    }
    shorten(&parts.join(" "), MAX_ARGUMENTS)
}

/// The query that a call sends, when its arguments hold one.
pub(crate) fn query_of(input: &Struct) -> Option<&str> {
    text(input, QUERY)
}

/// The query that a call sent, when its result holds it.
pub(crate) fn sent_query(result: &Value) -> Option<&str> {
    object(result).and_then(|fields| text(fields, "query"))
}

/// What a call brought, in a few words, by the shape of its result.
pub(crate) fn outcome(result: Option<&Value>) -> String {
    let Some(fields) = result.and_then(object) else { return "done".to_owned() };
    if let Some(Kind::NumberValue(rows)) = kind(fields, "row_count") {
        let more = matches!(kind(fields, "truncated"), Some(Kind::BoolValue(true)));
        let rows = counted(whole(*rows), "row");
        return if more { format!("{rows}, more were left out") } else { rows };
    }
    if let Some(Kind::ListValue(patterns)) = kind(fields, "patterns") {
        return best_pattern(&patterns.values);
    }
    if let Some(Kind::ListValue(tables)) = kind(fields, "tables") {
        return counted(length(&tables.values), "table");
    }
    "done".to_owned()
}

fn best_pattern(patterns: &[Value]) -> String {
    let Some(best) = patterns.first().and_then(object) else { return "no pattern fits".to_owned() };
    let name = text(best, "name").unwrap_or_default();
    let confidence = match kind(best, "confidence") {
        Some(Kind::NumberValue(confidence)) => format!(" (confidence {confidence:.2})"),
        _ => String::new(),
    };
    let others = match length(patterns) - 1 {
        0 => String::new(),
        others => format!(", {}", counted(others, "other")),
    };
    format!("pattern {}{confidence}{others}", shorten(name, MAX_VALUE))
}

fn named(name: &str, value: &Value) -> String {
    format!("{name}={}", short(value))
}

fn short(value: &Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => shorten(text, MAX_VALUE),
        _ => shorten(&to_json(value).to_string(), MAX_VALUE),
    }
}

/// `value` as JSON.
pub(crate) fn to_json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(*value),
        #[expect(clippy::float_cmp, reason = "whether it is exactly a whole number is the question")]
        Some(Kind::NumberValue(number)) if *number == number.trunc() && number.abs() < 1e15 => {
            Json::from(whole(*number))
        }
        Some(Kind::NumberValue(number)) => Json::from(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::ListValue(list)) => list.values.iter().map(to_json).collect(),
        Some(Kind::StructValue(fields)) => {
            let fields = fields.fields.iter().map(|(name, value)| (name.clone(), to_json(value)));
            Json::Object(fields.collect())
        }
    }
}

fn object(value: &Value) -> Option<&Struct> {
    match &value.kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => None,
    }
}

fn kind<'a>(fields: &'a Struct, name: &str) -> Option<&'a Kind> {
    fields.fields.get(name)?.kind.as_ref()
}

fn text<'a>(fields: &'a Struct, name: &str) -> Option<&'a str> {
    match kind(fields, name)? {
        Kind::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts are small, and a cast saturates")]
const fn whole(number: f64) -> i64 {
    number as i64
}

fn length(values: &[Value]) -> i64 {
    i64::try_from(values.len()).unwrap_or(i64::MAX)
}
