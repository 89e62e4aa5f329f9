//! The notes of hooks: texts that the model reads beside the conversation and nobody said.
//!
//! They are stored as messages with nothing else, and sent as a part of the user's message or the tool results before them, for
//! models expect the two sides to take turns.

use std::sync::Arc;

use loom_agent::{Event, EventKind, HookOutcome, Turn};
use loom_llm::{ContentBlock, Message, Role};
use loom_memory::Kept;
use loom_store::NewMessage;

/// The note in `event`, which `turn` is about to take in: that of the hook that runs, when it has a text for the model.
pub(crate) fn note_in(turn: &Turn, event: &Event) -> Option<ContentBlock> {
    let EventKind::HookDone { effect, said: Some(said), .. } = &event.kind else { return None };
    let (running, _, hook) = turn.running_hook()?;
    let is_note =
        *effect == running && said.outcome == HookOutcome::Annotated && !said.text.trim().is_empty();
    is_note.then(|| ContentBlock::text(format!("[note of the hook {}] {}", hook.name, said.text)))
}

/// Whether a stored message is nothing but notes.
pub(crate) fn is_note(message: &NewMessage) -> bool {
    message.role == Role::User && message.content.is_empty() && !message.beside.is_empty()
}

/// Adds a message as it is sent.
pub(crate) fn keep(messages: &mut Vec<Kept>, kept: Kept, is_note: bool) {
    match messages.last_mut().filter(|last| is_note && last.message.role == Role::User) {
        Some(last) => {
            let content = last.message.content.iter().chain(&kept.message.content).cloned().collect();
            last.message = Arc::new(Message { role: Role::User, content });
            last.tokens += kept.tokens;
        }
        None => messages.push(kept),
    }
}
