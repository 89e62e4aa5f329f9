//! Builds a whole answer from streamed chunks. Streaming and not streaming meet here, so they cannot differ.

use std::sync::Arc;

use serde_json::Value;

use loom_base::CallId;

use crate::{Chunk, Completion, ContentBlock, ErrorClass, FinishReason, LlmError, Usage};

/// A provider may not send more blocks than this in one answer.
const MAX_BLOCKS: usize = 4_096;

/// A stream that no whole answer can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The stream ended before the model did.
    #[error("the answer broke off before it was finished")]
    Cut,
    /// The model stopped without saying anything.
    #[error("the answer is empty")]
    Empty,
    /// A chunk does not fit what came before it.
    #[error("chunk {index} does not continue the block it names")]
    OutOfOrder {
        /// The block the chunk names.
        index: usize,
    },
}

impl StreamError {
    /// The error as one of the provider's.
    pub fn into_llm_error(self, provider: &str) -> LlmError {
        let class = match self {
            Self::Cut => ErrorClass::Transient,
            Self::Empty | Self::OutOfOrder { .. } => ErrorClass::Malformed,
        };
        LlmError::new(provider, class, self.to_string())
    }
}

enum Block {
    Text(String),
    Thinking { text: String, signature: Option<Arc<str>> },
    ToolUse { id: CallId, name: Arc<str>, json: String },
}

/// Collects chunks until the model has finished.
pub struct Assembler {
    model: Arc<str>,
    blocks: Vec<(usize, Block)>,
    usage: Usage,
    finish: Option<FinishReason>,
}

impl Assembler {
    /// An assembler for an answer of `model`, unless the stream names another.
    pub fn new(model: Arc<str>) -> Self {
        Self { model, blocks: Vec::new(), usage: Usage::default(), finish: None }
    }

    /// What the provider has counted so far; true also of a stream that broke off.
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// The text so far.
    pub fn text(&self) -> String {
        let text = |(_, block): &(usize, Block)| match block {
            Block::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.blocks.iter().filter_map(text).collect()
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &Chunk) -> Result<(), StreamError> {
        match chunk {
            Chunk::Waiting => {}
            Chunk::Start { model } => self.model = Arc::clone(model),
            Chunk::Usage(usage) => self.usage = self.usage.max(*usage),
            Chunk::Finish(reason) => self.finish = Some(*reason),
            Chunk::Text { index, delta } => match self.block(*index, || Block::Text(String::new()))? {
                Block::Text(text) => text.push_str(delta),
                _ => return Err(StreamError::OutOfOrder { index: *index }),
            },
            Chunk::Thinking { index, delta, signature } => {
                let empty = || Block::Thinking { text: String::new(), signature: None };
                match self.block(*index, empty)? {
                    Block::Thinking { text, signature: known } => {
                        text.push_str(delta);
                        if signature.is_some() {
                            known.clone_from(signature);
                        }
                    }
                    _ => return Err(StreamError::OutOfOrder { index: *index }),
                }
            }
            Chunk::ToolUse { index, id, name } => {
                if self.blocks.iter().any(|(known, _)| known == index) {
                    return Err(StreamError::OutOfOrder { index: *index });
                }
                let (id, name) = (id.clone(), Arc::clone(name));
                self.block(*index, || Block::ToolUse { id, name, json: String::new() })?;
            }
            Chunk::ToolInput { index, delta } => {
                let known = self.blocks.iter_mut().find(|(known, _)| known == index);
                match known {
                    Some((_, Block::ToolUse { json, .. })) => json.push_str(delta),
                    _ => return Err(StreamError::OutOfOrder { index: *index }),
                }
            }
        }
        Ok(())
    }

    /// The whole answer; an error when the stream ended early or said nothing.
    pub fn finish(self) -> Result<Completion, StreamError> {
        let finish = self.finish.ok_or(StreamError::Cut)?;
        let content: Vec<_> = self.blocks.into_iter().filter_map(|(_, block)| into_content(block)).collect();
        let says_nothing = content.iter().all(|block| matches!(block, ContentBlock::Thinking { .. }));
        if says_nothing && matches!(finish, FinishReason::Stop | FinishReason::ToolUse) {
            return Err(StreamError::Empty);
        }
        Ok(Completion { content, finish, usage: self.usage, model: self.model })
    }

    fn block(&mut self, index: usize, new: impl FnOnce() -> Block) -> Result<&mut Block, StreamError> {
        let position = match self.blocks.iter().position(|(known, _)| *known == index) {
            Some(position) => position,
            None if self.blocks.len() >= MAX_BLOCKS => return Err(StreamError::OutOfOrder { index }),
            None => {
                self.blocks.push((index, new()));
                self.blocks.len() - 1
            }
        };
        Ok(&mut self.blocks[position].1)
    }
}

/// Blocks that say nothing are dropped: providers refuse empty text when it is sent back.
fn into_content(block: Block) -> Option<ContentBlock> {
    match block {
        Block::Text(text) if text.is_empty() => None,
        Block::Text(text) => Some(ContentBlock::text(text)),
        Block::Thinking { text, signature } => Some(ContentBlock::Thinking { text: text.into(), signature }),
        Block::ToolUse { id, name, json } => {
            Some(ContentBlock::ToolUse { id, name, input: parse_input(&json) })
        }
    }
}

/// Arguments that are not JSON stay what they are, a text: the tool's schema then refuses them by name, and the model
/// sees what it sent.
fn parse_input(json: &str) -> Value {
    if json.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(index: usize, delta: &str) -> Chunk {
        Chunk::Text { index, delta: delta.into() }
    }

    fn assemble(chunks: &[Chunk]) -> Result<Completion, StreamError> {
        let mut assembler = Assembler::new("m".into());
        chunks.iter().try_for_each(|chunk| assembler.push(chunk))?;
        assembler.finish()
    }

    #[test]
    fn text_and_tool_calls_keep_their_order() {
        let call = CallId::new("c1");
        let completion = assemble(&[
            Chunk::Start { model: "m-2".into() },
            text(0, "Let me "),
            text(0, "look."),
            Chunk::ToolUse { index: 1, id: call.clone(), name: "query".into() },
            Chunk::ToolInput { index: 1, delta: "{\"sql\":".into() },
            Chunk::ToolInput { index: 1, delta: "\"SELECT 1\"}".into() },
            Chunk::Usage(Usage { input: 5, output: 1, ..Usage::default() }),
            Chunk::Usage(Usage { output: 9, ..Usage::default() }),
            Chunk::Finish(FinishReason::ToolUse),
        ])
        .unwrap();
        let input = serde_json::json!({"sql": "SELECT 1"});
        assert_eq!(
            completion.content,
            [
                ContentBlock::text("Let me look."),
                ContentBlock::ToolUse { id: call, name: "query".into(), input }
            ]
        );
        assert_eq!(completion.usage, Usage { input: 5, output: 9, ..Usage::default() });
        assert_eq!(&*completion.model, "m-2");
    }

    #[test]
    fn a_cut_or_empty_stream_is_an_error() {
        assert_eq!(assemble(&[text(0, "half")]), Err(StreamError::Cut));
        assert_eq!(assemble(&[Chunk::Finish(FinishReason::Stop)]), Err(StreamError::Empty));
        let input = Chunk::ToolInput { index: 3, delta: "{}".into() };
        assert_eq!(assemble(&[input]), Err(StreamError::OutOfOrder { index: 3 }));
    }

    #[test]
    fn arguments_that_are_not_json_are_kept_as_text() {
        let completion = assemble(&[
            Chunk::ToolUse { index: 0, id: CallId::new("c"), name: "t".into() },
            Chunk::ToolInput { index: 0, delta: "{oops".into() },
            Chunk::Finish(FinishReason::ToolUse),
        ])
        .unwrap();
        assert!(
            matches!(&completion.content[0], ContentBlock::ToolUse { input: Value::String(s), .. } if s == "{oops")
        );
    }

    proptest! {
        #[test]
        fn cutting_a_text_differently_changes_nothing(parts in prop::collection::vec(".{0,8}", 1..8)) {
            let whole: String = parts.concat();
            prop_assume!(!whole.is_empty());
            let mut chunks: Vec<_> = parts.iter().map(|part| text(0, part)).collect();
            chunks.push(Chunk::Finish(FinishReason::Stop));
            let pieces = assemble(&chunks).unwrap();
            let at_once = assemble(&[text(0, &whole), Chunk::Finish(FinishReason::Stop)]).unwrap();
            prop_assert_eq!(pieces, at_once);
        }
    }
}
