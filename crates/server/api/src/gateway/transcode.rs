//! Path, query string and JSON body to a request message, and back.

use loom_base::ErrorCode;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value};

use super::fields::{self, Fault};
use super::json;
use super::table::{Route, RouteBody};
use super::template::Captures;
use crate::Failure;

/// How messages are written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonStyle {
    /// lowerCamelCase with every field: answers.
    Whole,
    /// lowerCamelCase without fields at their default: events.
    Brief,
    /// `snake_case`, enums and 64-bit integers as numbers, no fields at their default: the events of `/v1/weave:stream`.
    Legacy,
}

/// Builds the request of `route`.
pub(super) fn request(
    route: &Route,
    captures: Captures,
    query: Option<&str>,
    body: &[u8],
) -> Result<DynamicMessage, Failure> {
    let message = route.rpc.input();
    let mut object = members(route, &message, body)?;
    for (field, value) in captures {
        insert(&mut object, &message, &field, &value)?;
    }
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if route.body == RouteBody::Request {
            return Err(unknown_field(&name, "this call takes its fields from the body"));
        }
        insert(&mut object, &message, &name, &value)?;
    }
    let options = DeserializeOptions::new();
    DynamicMessage::deserialize_with_options(message.clone(), Value::Object(object.clone()), &options)
        .map_err(|error| {
            let field = culprit(&message, &object).unwrap_or_default();
            invalid(&field, format!("{field}: {error}"))
        })
}

/// Writes `message` as JSON.
pub(super) fn to_json(message: &DynamicMessage, style: JsonStyle) -> Result<Vec<u8>, serde_json::Error> {
    let options = match style {
        JsonStyle::Whole => SerializeOptions::new().skip_default_fields(false),
        JsonStyle::Brief => SerializeOptions::new(),
        JsonStyle::Legacy => SerializeOptions::new()
            .use_proto_field_name(true)
            .use_enum_numbers(true)
            .stringify_64_bit_integers(false),
    };
    let mut out = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options)?;
    Ok(out)
}

fn members(route: &Route, message: &MessageDescriptor, body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if route.body == RouteBody::None {
        return Err(Failure::new(ErrorCode::InvalidArgument, "this call takes no body"));
    }
    let value = json::parse(body).map_err(|error| {
        Failure::new(ErrorCode::InvalidArgument, format!("the body is not JSON that can be used: {error}"))
    })?;
    match fields::fault(message, &value) {
        Some(Fault::Unknown(field)) => return Err(unknown_field(&field, "the request has no such field")),
        Some(Fault::Twice(field)) => return Err(invalid(&field, format!("{field} is given twice"))),
        None => {}
    }
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::new(ErrorCode::InvalidArgument, "the body is not a JSON object")),
    }
}

/// Puts the text `value` where `path` leads. A field given twice is refused unless both say the same.
fn insert(
    object: &mut Map<String, Value>,
    message: &MessageDescriptor,
    path: &str,
    value: &str,
) -> Result<(), Failure> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field =
        fields::named(message, first).ok_or_else(|| unknown_field(path, "the request has no such field"))?;
    let key = field.json_name().to_owned();
    if let (Some(rest), Kind::Message(inner)) = (rest, field.kind())
        && !field.is_list()
        && !field.is_map()
    {
        let nested = object.entry(key).or_insert_with(|| Map::new().into());
        let nested = nested.as_object_mut().ok_or_else(|| invalid(path, format!("{path} is given twice")))?;
        return insert(nested, &inner, rest, value);
    }
    if rest.is_some() || field.is_map() {
        return Err(unknown_field(path, "the query string cannot give such a field"));
    }
    let value = scalar(&field.kind(), path, value)?;
    if field.is_list() {
        let list = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().ok_or_else(|| invalid(path, format!("{path} is given twice")))?.push(value);
        return Ok(());
    }
    match object.get(&key).or_else(|| object.get(field.name())) {
        Some(given) if *given != value => Err(invalid(path, format!("{path} is given twice"))),
        Some(_) => Ok(()),
        None => {
            object.insert(key, value);
            Ok(())
        }
    }
}

/// The JSON form of a text from a path or a query string.
fn scalar(kind: &Kind, path: &str, text: &str) -> Result<Value, Failure> {
    match kind {
        Kind::Bool => text
            .parse()
            .map(Value::Bool)
            .map_err(|_| invalid(path, format!("{path}: expected true or false, got {text:?}"))),
        Kind::Enum(_) => Ok(text.parse::<i32>().map_or_else(|_| text.into(), Value::from)),
        Kind::Message(inner) if inner.package_name() != "google.protobuf" => {
            Err(invalid(path, format!("{path} is a message: name one of its fields, as in {path}.field")))
        }
        // Numbers, texts, bytes and times all have a text form in the JSON of protobuf.
        _ => Ok(text.into()),
    }
}

/// The path of the first member that does not have its field's type.
fn culprit(message: &MessageDescriptor, object: &Map<String, Value>) -> Option<String> {
    for (name, value) in object {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if DynamicMessage::deserialize(message.clone(), Value::Object(alone)).is_ok() {
            continue;
        }
        let inner = match (fields::named(message, name)?.kind(), value) {
            (Kind::Message(inner), Value::Object(object)) => culprit(&inner, object),
            _ => None,
        };
        return Some(inner.map_or_else(|| name.clone(), |inner| format!("{name}.{inner}")));
    }
    None
}

fn unknown_field(field: &str, why: &str) -> Failure {
    Failure::new(ErrorCode::UnknownField, format!("unknown field {field:?}: {why}")).with("field", field)
}

fn invalid(field: &str, message: String) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, message).with("field", field)
}
