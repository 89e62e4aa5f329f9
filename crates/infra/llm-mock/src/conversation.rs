//! What the script's conditions look at.

use std::sync::OnceLock;

use loom_base::CallId;
use loom_llm::{CompletionRequest, ContentBlock, Message, Role};

/// The conversation of one request.
pub(crate) struct Conversation<'a> {
    request: &'a CompletionRequest,
    user_text: OnceLock<String>,
}

impl<'a> Conversation<'a> {
    pub(crate) const fn new(request: &'a CompletionRequest) -> Self {
        Self { request, user_text: OnceLock::new() }
    }

    /// The newest user text; empty when there is none.
    pub(crate) fn user_text(&self) -> &str {
        self.user_text.get_or_init(|| {
            let newest = self.request.messages.iter().rev().find(|message| is_user_text(message));
            newest.and_then(|message| message.said()).unwrap_or_default().to_owned()
        })
    }

    /// How many user texts there are.
    pub(crate) fn turn(&self) -> usize {
        self.request.messages.iter().filter(|message| is_user_text(message)).count()
    }

    /// The newest tool result; empty when there is none.
    pub(crate) fn tool_result(&self) -> &str {
        let results = self.request.messages.iter().rev().flat_map(|message| message.content.iter().rev());
        let mut contents = results.filter_map(|block| match block {
            ContentBlock::ToolResult { content, .. } => Some(content.as_ref()),
            _ => None,
        });
        contents.next().unwrap_or_default()
    }

    /// Whether tool results are what came last.
    pub(crate) fn is_after_tools(&self) -> bool {
        self.newest_results().next().is_some()
    }

    /// Whether a result of `tool` is among what came last; `*` is any tool.
    pub(crate) fn is_after(&self, tool: &str) -> bool {
        self.newest_results().any(|id| tool == "*" || self.tool_of(id) == Some(tool))
    }

    fn newest_results(&self) -> impl Iterator<Item = &CallId> {
        self.request.messages.iter().rev().take_while(|message| holds_results(message)).flat_map(|message| {
            message.content.iter().filter_map(|block| match block {
                ContentBlock::ToolResult { id, .. } => Some(id),
                _ => None,
            })
        })
    }

    fn tool_of(&self, call: &CallId) -> Option<&str> {
        let mut calls = self.request.messages.iter().rev().flat_map(|message| message.tool_uses());
        calls.find(|(id, _, _)| *id == call).map(|(_, name, _)| name)
    }
}

fn holds_results(message: &Message) -> bool {
    message.content.iter().any(|block| matches!(block, ContentBlock::ToolResult { .. }))
}

fn is_user_text(message: &Message) -> bool {
    message.role == Role::User && !holds_results(message)
}
