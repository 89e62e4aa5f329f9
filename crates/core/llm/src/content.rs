//! What a conversation is made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use loom_base::CallId;

/// Who speaks. The system prompt is not a message, and tool results travel in user messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or the program in its place; also carries tool results.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name as it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<ContentBlock>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<Arc<str>>) -> Self {
        Self { role, content: vec![ContentBlock::text(text)] }
    }

    /// All text blocks, joined without a separator.
    pub fn plain_text(&self) -> String {
        self.content.iter().filter_map(ContentBlock::as_text).collect()
    }

    /// What was said: the first text. In a user message, what follows was put beside it by the agent.
    pub fn said(&self) -> Option<&str> {
        self.content.iter().find_map(ContentBlock::as_text)
    }

    /// The tool calls in it, in order.
    pub fn tool_uses(&self) -> impl Iterator<Item = (&CallId, &str, &Value)> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse { id, name, input } => Some((id, name.as_ref(), input)),
            _ => None,
        })
    }
}

/// A part of a message. Texts are shared: a message is cloned into many requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    /// Plain text.
    Text {
        /// The text.
        text: Arc<str>,
    },
    /// A picture, base64-encoded.
    Image {
        /// Its MIME type, such as `image/png`.
        media_type: Arc<str>,
        /// The bytes in base64.
        data: Arc<str>,
    },
    /// A document, base64-encoded.
    Document {
        /// Its MIME type, such as `application/pdf`.
        media_type: Arc<str>,
        /// The bytes in base64.
        data: Arc<str>,
        /// A name to show.
        title: Option<Arc<str>>,
    },
    /// The model wants a tool run.
    ToolUse {
        /// The model's name for this call.
        id: CallId,
        /// The tool.
        name: Arc<str>,
        /// Its arguments: a JSON object, or whatever else the model sent.
        input: Value,
    },
    /// What a tool gave back.
    ToolResult {
        /// The call it answers.
        id: CallId,
        /// The result as the model reads it.
        content: Arc<str>,
        /// Whether the call failed.
        is_error: bool,
    },
    /// The model's own reasoning, to be sent back as it came.
    Thinking {
        /// The reasoning.
        text: Arc<str>,
        /// The provider's proof that it is unchanged.
        signature: Option<Arc<str>>,
    },
}

impl ContentBlock {
    /// A text block.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text, when the block is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            _ => None,
        }
    }
}
