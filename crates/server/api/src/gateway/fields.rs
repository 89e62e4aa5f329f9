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

/// The path of the first member of `value` that `message` has no field for.
pub(super) fn unknown(message: &MessageDescriptor, value: &Value) -> Option<String> {
    // The well-known types have JSON forms of their own, and any of them is as deep as the caller likes.
    if message.package_name() == "google.protobuf" {
        return None;
    }
    for (name, member) in value.as_object()? {
        let Some(field) = named(message, name) else { return Some(name.clone()) };
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
                .find_map(|(at, item)| Some(format!("[{at}].{}", unknown(&inner, item)?))),
            Value::Object(entries) if field.is_map() => {
                entries.iter().find_map(|(key, item)| Some(format!(".{key}.{}", unknown(&inner, item)?)))
            }
            other => unknown(&inner, other).map(|path| format!(".{path}")),
        };
        if let Some(path) = found {
            return Some(format!("{name}{path}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_the_first_unknown_member() {
        let pool = loom_proto::descriptor_pool();
        let create = pool.get_message_by_name("loom.v1.CreateAgentRequest").unwrap();
        let config = |value| json!({"config": value});
        assert_eq!(unknown(&create, &config(json!({"systemPrompt": "", "system_prompt": ""}))), None);
        assert_eq!(unknown(&create, &json!({"nope": 1})), Some("nope".into()));
        assert_eq!(
            unknown(&create, &config(json!({"llm": {"modell": ""}}))),
            Some("config.llm.modell".into())
        );
        assert_eq!(
            unknown(&create, &config(json!({"tools": {"mcp": [{}, {"servr": ""}]}}))),
            Some("config.tools.mcp[1].servr".into())
        );
        assert_eq!(unknown(&create, &config(json!({"metadata": {"anything": "goes"}}))), None);
    }
}
