//! A descriptor set as a flat table: each promise to a client under its name.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MethodDescriptor,
    Value,
};

/// The packages that are ours; the rest is imported as it is.
const OURS: &str = "loom.";

/// The option that maps an RPC to HTTP.
const HTTP: &str = "google.api.http";

/// Every promise that `pool` makes: what is named, and what is said about it.
pub(super) fn of(pool: &DescriptorPool) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for message in pool.all_messages().filter(|message| message.package_name().starts_with(OURS)) {
        table.insert(format!("message {}", message.full_name()), "a message".to_owned());
        for field in message.fields() {
            let name = format!("field {} of {}", field.number(), message.full_name());
            table.insert(name, describe_field(&field));
        }
    }
    for descriptor in pool.all_enums().filter(|one| one.package_name().starts_with(OURS)) {
        add_values(&mut table, &descriptor);
    }
    for service in pool.services().filter(|service| service.package_name().starts_with(OURS)) {
        for method in service.methods() {
            table.insert(format!("rpc {}", method.full_name()), describe_rpc(&method));
            table.insert(format!("http mapping of {}", method.full_name()), describe_http(pool, &method));
        }
    }
    table
}

fn add_values(table: &mut BTreeMap<String, String>, descriptor: &EnumDescriptor) {
    for value in descriptor.values() {
        let name = format!("value {} of {}", value.number(), descriptor.full_name());
        table.insert(name, value.name().to_owned());
    }
}

fn describe_field(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Repeated if field.is_map() => "map ",
        Cardinality::Repeated => "repeated ",
        Cardinality::Required => "required ",
        Cardinality::Optional if field.field_descriptor_proto().proto3_optional() => "optional ",
        Cardinality::Optional => "",
    };
    let oneof = field.containing_oneof().filter(|one| !one.is_synthetic());
    let oneof = oneof.map(|one| format!(" in oneof {}", one.name())).unwrap_or_default();
    format!("{label}{} {} (JSON {}){oneof}", type_name(&field.kind()), field.name(), field.json_name())
}

fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) if message.is_map_entry() => {
            let (key, value) = (message.map_entry_key_field(), message.map_entry_value_field());
            format!("<{}, {}>", type_name(&key.kind()), type_name(&value.kind()))
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(descriptor) => descriptor.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn describe_rpc(method: &MethodDescriptor) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "({}{}) -> ({}{})",
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name()
    )
}

/// The HTTP rule in its text form, additional bindings included.
fn describe_http(pool: &DescriptorPool, method: &MethodDescriptor) -> String {
    let options: DynamicMessage = method.options();
    let extension = pool.get_extension_by_name(HTTP).filter(|extension| options.has_extension(extension));
    match extension.map(|extension| options.get_extension(&extension).into_owned()) {
        Some(Value::Message(rule)) => rule.to_text_format(),
        _ => "none".to_owned(),
    }
}
