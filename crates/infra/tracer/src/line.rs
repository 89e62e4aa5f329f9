//! One log record as one line: text for people, JSON for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing::Level;

use loom_base::Timestamp;
use loom_telemetry::log;

/// Keys that the record itself uses; a field of the same name is moved aside.
const RESERVED: [&str; 7] =
    ["timestamp", "level", "target", "message", log::TRACE_ID, log::SESSION_ID, log::AGENT_ID];

/// What the enclosing spans say of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The trace's id.
    pub(crate) trace: Option<String>,
    /// The session's id.
    pub(crate) session: Option<String>,
    /// The agent's id.
    pub(crate) agent: Option<String>,
}

impl Ids {
    /// The ids that are known, under their keys.
    fn known(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(log::TRACE_ID, &self.trace), (log::SESSION_ID, &self.session), (log::AGENT_ID, &self.agent)]
            .into_iter()
            .filter_map(|(key, id)| id.as_deref().map(|id| (key, id)))
    }
}

/// One log record.
pub(crate) struct Line<'a> {
    /// When.
    pub(crate) at: Timestamp,
    /// How bad.
    pub(crate) level: Level,
    /// The module that says it.
    pub(crate) target: &'a str,
    /// The constant sentence.
    pub(crate) message: String,
    /// What belongs to it.
    pub(crate) fields: Map<String, Value>,
    /// Where it belongs.
    pub(crate) ids: Ids,
}

impl Line<'_> {
    /// `2026-11-20T23:52:11.123456Z  INFO loom_runtime: turn ended llm.provider=mock trace_id=…`
    pub(crate) fn to_text(&self) -> String {
        let mut line = format!("{} {:>5} {}: {}", self.at, self.level, self.target, visible(&self.message));
        // Writing to a string cannot fail.
        for (key, value) in &self.fields {
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {key}={text}"),
                other => write!(line, " {key}={other}"),
            };
        }
        for (key, id) in self.ids.known() {
            let _ = write!(line, " {key}={}", visible(id));
        }
        line.push('\n');
        line
    }

    /// One JSON object: the record's own keys first.
    pub(crate) fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("timestamp".into(), self.at.to_string().into());
        object.insert("level".into(), self.level.as_str().into());
        object.insert("target".into(), self.target.into());
        object.insert("message".into(), self.message.as_str().into());
        for (key, id) in self.ids.known() {
            object.insert(key.into(), id.into());
        }
        for (key, value) in &self.fields {
            let key = if RESERVED.contains(&key.as_str()) { format!("field.{key}") } else { key.clone() };
            object.insert(key, value.clone());
        }
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line
    }
}

/// Whether a text needs no quotes: one word that cannot be taken for something else.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/@+…[]".contains(c))
}

/// `text` with its control characters escaped, so that nobody forges a second line.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
