//! Conversations in the form that providers want them in.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::{ContentBlock, Message, Role};

/// The conversation with neighbours of the same role joined, so that the roles alternate. Messages without content
/// vanish. In a user's turn the tool results come first, because providers want them right after the calls.
pub fn alternating(messages: &[Arc<Message>]) -> Vec<(Role, Vec<&ContentBlock>)> {
    let mut turns: Vec<(Role, Vec<&ContentBlock>)> = Vec::new();
    for message in messages.iter().filter(|message| !message.content.is_empty()) {
        match turns.last_mut() {
            Some((role, blocks)) if *role == message.role => blocks.extend(&message.content),
            _ => turns.push((message.role, message.content.iter().collect())),
        }
    }
    for (role, blocks) in &mut turns {
        if *role == Role::User {
            blocks.sort_by_key(|block| !matches!(block, ContentBlock::ToolResult { .. }));
        }
    }
    turns
}

/// A tool call's arguments as an object. Providers refuse anything else when it is sent back, even what their own model
/// sent; such a value is wrapped, so that the model still sees it.
pub fn tool_arguments(input: &Value) -> Cow<'_, Value> {
    match input {
        Value::Object(_) => Cow::Borrowed(input),
        other => Cow::Owned(json!({"invalid_arguments": other})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom_base::CallId;

    #[test]
    fn neighbours_of_one_role_join_and_tool_results_come_first() {
        let result = ContentBlock::ToolResult { id: CallId::new("c"), content: "1".into(), is_error: false };
        let messages = [
            Message::text(Role::User, "a"),
            Message::text(Role::User, "b"),
            Message { role: Role::Assistant, content: Vec::new() },
            Message::text(Role::User, "c"),
            Message { role: Role::User, content: vec![result.clone()] },
            Message::text(Role::Assistant, "d"),
        ]
        .map(Arc::new);
        let turns = alternating(&messages);
        let texts =
            |index: usize| turns[index].1.iter().filter_map(|block| block.as_text()).collect::<String>();
        assert_eq!(turns.len(), 2);
        assert_eq!((texts(0).as_str(), texts(1).as_str()), ("abc", "d"));
        assert_eq!(turns[0].1[0], &result);
    }

    #[test]
    fn arguments_that_are_no_object_are_wrapped() {
        let object = json!({"sql": "SELECT 1"});
        assert_eq!(*tool_arguments(&object), object);
        assert_eq!(*tool_arguments(&json!("{oops")), json!({"invalid_arguments": "{oops"}));
    }
}
