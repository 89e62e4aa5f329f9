//! Messages of the API as JSON, in the form of the HTTP gateway's answers: lowerCamelCase, every field.

use std::io::{self, Write};

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;

/// `message`, which is a `loom.v1.NAME`.
pub(crate) fn value(message: &impl Message, name: &str) -> io::Result<Value> {
    let descriptor = loom_proto::descriptor_pool()
        .get_message_by_name(&format!("loom.v1.{name}"))
        .ok_or_else(|| io::Error::other(format!("loom.v1 has no message {name}")))?;
    let message =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(io::Error::other)?;
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(io::Error::other)
}

/// Prints `message` as one document, indented.
pub(crate) fn print(out: &mut (dyn Write + Send), message: &impl Message, name: &str) -> io::Result<()> {
    writeln!(out, "{:#}", value(message, name)?)
}

/// Prints `message` on one line.
pub(crate) fn print_line(out: &mut (dyn Write + Send), message: &impl Message, name: &str) -> io::Result<()> {
    writeln!(out, "{}", value(message, name)?)
}

#[cfg(test)]
mod tests {
    use loom_proto::v1::{HealthStatus, Session};

    use super::*;

    #[test]
    fn names_are_camel_case_and_all_fields_are_there() {
        let session = Session { id: "sess_1".into(), created_at: 5, ..Session::default() };
        let value = value(&session, "Session").unwrap();
        assert_eq!(value["createdAt"], "5");
        assert_eq!(value["conversationCount"], 0);
        let health = HealthStatus { status: "\u{1b}[2J".into(), ..HealthStatus::default() };
        let mut out = Vec::new();
        print_line(&mut out, &health, "HealthStatus").unwrap();
        assert!(!out.contains(&0x1b), "JSON escapes what a terminal would obey");
    }
}
