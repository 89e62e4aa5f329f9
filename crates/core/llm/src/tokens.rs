//! Token estimates that need no vocabulary file.
//!
//! Budgets must hold for every tokeniser, so the estimate leans high: one token for three bytes of text, where common
//! tokenisers take about four of English and fewer for other scripts, whose characters are two to four bytes long.

use crate::{ContentBlock, Message, ToolDefinition};

const BYTES_PER_TOKEN: usize = 3;
/// What providers add around each message and block.
const FRAME_TOKENS: u64 = 4;
/// A picture costs at most about this (Anthropic scales to 1,568 by 1,568 pixels / 750, about 1,600 tokens).
const IMAGE_TOKENS: u64 = 1_600;

/// About how many tokens `text` is.
pub fn estimate_text(text: &str) -> u64 {
    text.len().div_ceil(BYTES_PER_TOKEN) as u64
}

/// About how many tokens `message` is, framing included.
pub fn estimate_message(message: &Message) -> u64 {
    FRAME_TOKENS + message.content.iter().map(estimate_block).sum::<u64>()
}

/// About how many tokens a tool's name, description and schema are.
pub fn estimate_tool(tool: &ToolDefinition) -> u64 {
    let schema = tool.input_schema.to_string();
    FRAME_TOKENS + estimate_text(&tool.name) + estimate_text(&tool.description) + estimate_text(&schema)
}

fn estimate_block(block: &ContentBlock) -> u64 {
    let content = match block {
        ContentBlock::Text { text } | ContentBlock::Thinking { text, .. } => estimate_text(text),
        ContentBlock::Image { .. } => IMAGE_TOKENS,
        ContentBlock::Document { data, .. } => estimate_text(data),
        ContentBlock::ToolUse { name, input, .. } => estimate_text(name) + estimate_text(&input.to_string()),
        ContentBlock::ToolResult { content, .. } => estimate_text(content),
    };
    content + FRAME_TOKENS
}
