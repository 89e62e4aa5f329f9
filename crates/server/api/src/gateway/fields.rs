//! Finds request fields by the names callers use, and what in a JSON request has no field.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

/// The field of `message` called `name`, in either case.
pub(super) fn named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// The field that a dotted path leads to, through single messages only.
pub(super) fn find(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = named(message, first)?;
    match (rest, field.kind()) {
        (None, _) => Some(field),
        (Some(rest), Kind::Message(inner)) if !field.is_list() && !field.is_map() => find(&inner, rest),
        (Some(_), _) => None,
    }
}

/// What is wrong with a member of a JSON request, and the path to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The message has no such field.
    Unknown(String),
    /// The field was given already, by its other name.
    Twice(String),
}

impl Fault {
    fn below(self, parent: &str) -> Self {
        match self {
            Self::Unknown(path) => Self::Unknown(format!("{parent}.{path}")),
            Self::Twice(path) => Self::Twice(format!("{parent}.{path}")),
        }
    }
}

/// The first member of `value` that is not one field of `message`.
pub(super) fn fault(message: &MessageDescriptor, value: &Value) -> Option<Fault> {
    // The well-known types have JSON forms of their own, and any of them is as deep as the caller likes.
    if message.package_name() == "google.protobuf" {
        return None;
    }
    let object = value.as_object()?;
    for (name, member) in object {
        let Some(field) = named(message, name) else { return Some(Fault::Unknown(name.clone())) };
        if name == field.name() && name != field.json_name() && object.contains_key(field.json_name()) {
            return Some(Fault::Twice(name.clone()));
        }
        let inner = match field.kind() {
            Kind::Message(entry) if field.is_map() => match entry.map_entry_value_field().kind() {
                Kind::Message(inner) => inner,
                _ => continue,
            },
            Kind::Message(inner) => inner,
            _ => continue,
        };
        let found = match member {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(at, item)| Some(fault(&inner, item)?.below(&format!("{name}[{at}]")))),
            Value::Object(entries) if field.is_map() => entries
                .iter()
                .find_map(|(key, item)| Some(fault(&inner, item)?.below(&format!("{name}.{key}")))),
            other => fault(&inner, other).map(|fault| fault.below(name)),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_the_first_member_that_is_no_field_or_one_again() {
        let unknown = |field: &str| Some(Fault::Unknown(field.to_owned()));
        let twice = |field: &str| Some(Fault::Twice(field.to_owned()));
        let pool = loom_proto::descriptor_pool();
        let create = pool.get_message_by_name("loom.v1.CreateAgentRequest").unwrap();
        let config = |value| json!({"config": value});
        assert_eq!(fault(&create, &config(json!({"systemPrompt": "", "name": ""}))), None);
        assert_eq!(
            fault(&create, &config(json!({"systemPrompt": "", "system_prompt": ""}))),
            twice("config.system_prompt")
        );
        assert_eq!(fault(&create, &json!({"nope": 1})), unknown("nope"));
        assert_eq!(fault(&create, &config(json!({"llm": {"modell": ""}}))), unknown("config.llm.modell"));
        assert_eq!(
            fault(&create, &config(json!({"tools": {"mcp": [{}, {"servr": ""}]}}))),
            unknown("config.tools.mcp[1].servr")
        );
        assert_eq!(fault(&create, &config(json!({"metadata": {"anything": "goes"}}))), None);
    }
}
