//! The contract between Loom and a language model: messages, streamed chunks, usage, errors and prices.
//!
//! Provider wire formats never cross it, and it opens no connection.

mod assembler;
mod catalog;
mod content;
mod conversation;
mod credential;
mod error;
mod provider;
mod request;
pub mod signature;
mod tokens;
mod usage;

pub use assembler::{Assembler, StreamError};
pub use catalog::{Catalog, ModelInfo, Prices};
pub use content::{ContentBlock, Message, Role};
pub use conversation::{alternating, tool_arguments};
pub use credential::CredentialSource;
pub use error::{ErrorClass, LlmError};
pub use provider::{
    Capabilities, Chunk, ChunkStream, Completion, LlmProvider, Providers, complete_by_stream,
};
pub use request::{CallContext, CompletionRequest, Sampling, ToolDefinition, ToolRole};
pub use tokens::{estimate_message, estimate_text, estimate_tool};
pub use usage::{FinishReason, Usage};
