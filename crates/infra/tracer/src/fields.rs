//! Reads the fields of spans and events into JSON, redacted and of bounded size.

use std::error::Error;
use std::fmt::Debug;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use loom_telemetry::{is_secret_name, redact};

/// The longest text of one field, in bytes: a field is not the place for a document.
const MAX_BYTES: usize = 4 * 1024;

/// Collects fields. A later value replaces an earlier one of the same name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// What was collected, by field name.
    pub(crate) values: Map<String, Value>,
}

impl Fields {
    /// The text under `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    fn add_text(&mut self, field: &Field, text: &str) {
        let safe = if is_secret_name(field.name()) { "[redacted]".into() } else { redact(text) };
        self.add(field, Value::String(short(&safe)));
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.values.insert(field.name().to_owned(), value);
    }
}

/// `text`, cut where it is too long for a field.
pub(crate) fn short(text: &str) -> String {
    let cut = text.floor_char_boundary(MAX_BYTES);
    let mut short = text[..cut].to_owned();
    if cut < text.len() {
        short.push('…');
    }
    short
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.add_text(field, &text);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}
