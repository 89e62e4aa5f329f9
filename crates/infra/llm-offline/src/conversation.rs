//! What has been said and done so far, as the provider needs it.

use serde_json::Value;

use loom_base::CallId;
use loom_llm::{ContentBlock, Message, Role};

/// The newest question and the calls before and since.
pub(crate) struct Conversation<'a> {
    /// The newest user text.
    pub(crate) question: String,
    /// Calls of earlier questions, oldest first.
    pub(crate) earlier: Vec<Call<'a>>,
    /// Calls made for this question, oldest first.
    pub(crate) since: Vec<Call<'a>>,
}

/// A tool call and what came of it.
pub(crate) struct Call<'a> {
    pub(crate) tool: &'a str,
    pub(crate) input: &'a Value,
    /// What it gave back, or why it failed; `None` while nothing has come back.
    pub(crate) outcome: Option<Result<&'a str, &'a str>>,
}

impl Call<'_> {
    /// Why it brought nothing.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self.outcome {
            Some(Ok(_)) => None,
            Some(Err(reason)) => Some(reason),
            None => Some("it gave no result"),
        }
    }
}

impl<'a> Conversation<'a> {
    /// Reads `messages`; `None` when no user has said anything in them.
    pub(crate) fn read(messages: &'a [std::sync::Arc<Message>]) -> Option<Self> {
        let asked = messages.iter().rposition(|message| is_question(message))?;
        // What follows the first text was put beside it by the agent: patterns, facts.
        let question = messages.get(asked)?.said()?;
        let calls = |messages: &'a [std::sync::Arc<Message>]| -> Vec<Call<'a>> {
            let uses = messages.iter().flat_map(|message| message.tool_uses());
            uses.map(|(id, tool, input)| Call { tool, input, outcome: outcome(messages, id) }).collect()
        };
        let (before, after) = messages.split_at(asked);
        Some(Self { question: question.to_owned(), earlier: calls(before), since: calls(after) })
    }
}

fn is_question(message: &Message) -> bool {
    message.role == Role::User
        && message.content.iter().any(|block| block.as_text().is_some())
        && !holds_results(message)
}

fn holds_results(message: &Message) -> bool {
    message.content.iter().any(|block| matches!(block, ContentBlock::ToolResult { .. }))
}

/// What came of the call `wanted`. The newest one counts: ids are unique within a turn only.
fn outcome<'a>(messages: &'a [std::sync::Arc<Message>], wanted: &CallId) -> Option<Result<&'a str, &'a str>> {
    let mut blocks = messages.iter().rev().flat_map(|message| &message.content);
    blocks.find_map(|block| match block {
        ContentBlock::ToolResult { id, content, is_error } if id == wanted => {
            Some(if *is_error { Err(content.as_ref()) } else { Ok(content.as_ref()) })
        }
        _ => None,
    })
}
