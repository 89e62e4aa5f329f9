//! From layers to the context of one request.

use std::sync::Arc;

use loom_llm::{Message, ToolDefinition, estimate_text};

use crate::{Kept, Recent, Rom};

/// A summary of messages that left L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The text.
    pub text: Arc<str>,
    /// The first message it covers, by its place in the session.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What a context is compiled from. Kernel facts are already beside the messages they were sent with.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The fixed part.
    pub rom: &'a Rom,
    /// L2, oldest first.
    pub summaries: &'a [Summary],
    /// L1.
    pub recent: &'a Recent,
    /// The messages of the turn that runs, in order.
    pub current: &'a [Kept],
}

/// A context that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The system prompt.
    pub system: Arc<str>,
    /// The tools.
    pub tools: Arc<[ToolDefinition]>,
    /// The conversation, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// About how many tokens all that is.
    pub tokens: u64,
    /// How many tokens it could be.
    pub room: u64,
    /// The place in the session of the oldest message in it.
    pub first_seq: Option<u64>,
}

/// A running turn that does not fit the window even alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this turn needs about {needed} tokens, and the model has room for {room}: ask for less data, or choose a model \
     with a larger window"
)]
pub struct TooLong {
    /// Tokens needed.
    pub needed: u64,
    /// Tokens there are.
    pub room: u64,
}

/// Compiles the context of one request into `window` tokens less `output_reserve`.
///
/// Order: tools, ROM, L2, L1, the running turn. What does not fit is left out from the oldest end: summaries first, then
/// whole turns. The running turn and the ROM are never cut.
pub fn compile(layers: Layers<'_>, window: u64, output_reserve: u64) -> Result<Compiled, TooLong> {
    let room = window.saturating_sub(output_reserve);
    let current: u64 = layers.current.iter().map(|kept| kept.tokens).sum();
    let needed = layers.rom.tokens + current;
    if needed > room {
        return Err(TooLong { needed, room });
    }
    let mut tokens = needed;
    let mut past = Vec::new();
    for turn in layers.recent.turns().rev() {
        if tokens + turn.tokens() > room {
            break;
        }
        tokens += turn.tokens();
        past.push(turn);
    }
    let (system, system_tokens) = system_with_summaries(&layers, room - tokens);
    let kept = past.iter().rev().flat_map(|turn| &turn.messages).chain(layers.current);
    Ok(Compiled {
        system,
        tools: Arc::clone(&layers.rom.tools),
        first_seq: kept.clone().next().map(|kept| kept.seq),
        messages: kept.map(|kept| Arc::clone(&kept.message)).collect(),
        tokens: tokens + system_tokens,
        room,
    })
}

/// The system prompt with as many of the newest summaries as fit `room`, and the tokens they add.
fn system_with_summaries(layers: &Layers<'_>, room: u64) -> (Arc<str>, u64) {
    const HEADING: &str = "\n\nEarlier in this conversation:";
    let line = |summary: &Summary| format!("\n[messages {}-{}] {}", summary.from, summary.to, summary.text);
    let mut lines = Vec::new();
    let mut tokens = estimate_text(HEADING);
    for summary in layers.summaries.iter().rev() {
        let text = line(summary);
        if tokens + estimate_text(&text) > room {
            break;
        }
        tokens += estimate_text(&text);
        lines.push(text);
    }
    if lines.is_empty() {
        return (Arc::clone(&layers.rom.system), 0);
    }
    lines.reverse();
    (format!("{}{HEADING}{}", layers.rom.system, lines.concat()).into(), tokens)
}

#[cfg(test)]
mod tests;
