//! JSON Schemas of protobuf messages, in the JSON form of proto3.

use std::collections::BTreeMap;

use prost_reflect::MethodDescriptor;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::reference;

/// The schemas met so far, by message or enum name.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    pub(super) fn into_json(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }

    /// A reference to the schema of `message`, which is made when it is new; the well-known types are written out.
    pub(super) fn of_message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => return json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Struct" => return json!({"type": "object"}),
            "google.protobuf.Value" => return json!({}),
            _ => {}
        }
        let name = message.name().to_owned();
        if !self.0.contains_key(&name) {
            // Stands in while a message that holds itself is being written.
            self.0.insert(name.clone(), Value::Null);
            let fields = message.fields();
            let properties: Map<String, Value> =
                fields.map(|field| (field.json_name().to_owned(), self.described_field(&field))).collect();
            let comment = comment(&message.parent_file(), message.path());
            let schema = json!({"type": "object", "description": comment, "properties": properties});
            self.0.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// The schema of a field's value.
    pub(super) fn of_field(&mut self, field: &FieldDescriptor) -> Value {
        if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let value = self.of_kind(&entry.map_entry_value_field().kind());
            return json!({"type": "object", "additionalProperties": value});
        }
        let one = self.of_kind(&field.kind());
        match field.cardinality() {
            Cardinality::Repeated => json!({"type": "array", "items": one}),
            Cardinality::Optional | Cardinality::Required => one,
        }
    }

    fn described_field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.of_field(field);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), comment_of_field(field).into());
        }
        schema
    }

    fn of_kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "format": "uint32", "minimum": 0}),
            // 64-bit integers are texts in proto3 JSON, so that JavaScript does not round them.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "format": "int64"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Enum(kind) => self.of_enum(kind),
            Kind::Message(message) => self.of_message(message),
        }
    }

    fn of_enum(&mut self, kind: &EnumDescriptor) -> Value {
        let name = kind.name().to_owned();
        let values: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
        let comment = comment(&kind.parent_file(), kind.path());
        self.0.insert(name.clone(), json!({"type": "string", "description": comment, "enum": values}));
        reference(&name)
    }
}

/// What the API says about a field.
pub(super) fn comment_of_field(field: &FieldDescriptor) -> String {
    comment(&field.parent_message().parent_file(), field.path())
}

/// What the API says about a method: the first sentence, and the rest.
pub(super) fn comment_of_method(method: &MethodDescriptor) -> (String, String) {
    let text = comment(&method.parent_service().parent_file(), method.path());
    match text.split_once(". ") {
        Some((first, rest)) => (format!("{first}."), rest.to_owned()),
        None => (text, String::new()),
    }
}

fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut places = info.map(|info| info.location.iter()).into_iter().flatten();
    let text = places.find(|place| place.path == path).map(|place| place.leading_comments().to_owned());
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
