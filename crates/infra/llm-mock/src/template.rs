//! Reply texts with places for what was said.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;

use crate::conversation::Conversation;

/// A text in which `{{user}}` and `{{tool_result}}` stand for the newest of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Arc<str>),
    User,
    ToolResult,
}

impl Template {
    /// The text for `conversation`. A text without placeholders is shared, not copied.
    pub(crate) fn render(&self, conversation: &Conversation<'_>) -> Arc<str> {
        if let [Part::Literal(text)] = self.0.as_slice() {
            return Arc::clone(text);
        }
        let mut out = String::new();
        for part in &self.0 {
            let text = match part {
                Part::Literal(text) => text,
                Part::User => conversation.user_text(),
                Part::ToolResult => conversation.tool_result(),
            };
            let _ = out.write_str(text);
        }
        out.into()
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("a placeholder is not closed with }}")?;
            if !before.is_empty() {
                parts.push(Part::Literal(before.into()));
            }
            parts.push(match name.trim() {
                "user" => Part::User,
                "tool_result" => Part::ToolResult,
                other => return Err(format!("unknown placeholder {other:?}, expected user or tool_result")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts))
    }
}
