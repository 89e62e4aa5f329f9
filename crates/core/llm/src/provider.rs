//! The seam behind which every model sits.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use loom_base::CallId;

use crate::{Assembler, CompletionRequest, ContentBlock, FinishReason, LlmError, Usage};

/// What a provider can do; conservative when unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub struct Capabilities {
    /// It can call tools.
    pub tools: bool,
    /// It accepts pictures.
    pub images: bool,
    /// It accepts documents.
    pub documents: bool,
    /// It serves repeated prefixes from a cache.
    pub prompt_cache: bool,
}

/// One piece of a streamed answer, in the order it arrives. `index` counts content blocks from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// The call waits for a slot; it has not started.
    Waiting,
    /// The provider accepted the call and names the model that answers.
    Start {
        /// The model as the provider names it.
        model: Arc<str>,
    },
    /// More of a text block.
    Text {
        /// The block.
        index: usize,
        /// The new text.
        delta: Arc<str>,
    },
    /// More of a thinking block.
    Thinking {
        /// The block.
        index: usize,
        /// The new text; may be empty when only the signature is new.
        delta: Arc<str>,
        /// The provider's signature, sent once at the end.
        signature: Option<Arc<str>>,
    },
    /// A tool call begins.
    ToolUse {
        /// The block.
        index: usize,
        /// The call's name.
        id: CallId,
        /// The tool's name.
        name: Arc<str>,
    },
    /// More of a tool call's arguments, as JSON text.
    ToolInput {
        /// The block.
        index: usize,
        /// The new JSON text.
        delta: Arc<str>,
    },
    /// Token counts so far; later ones replace smaller ones.
    Usage(Usage),
    /// The model stopped. Usage may still follow.
    Finish(FinishReason),
}

/// A streamed answer. Dropping it ends the call.
pub type ChunkStream = BoxStream<'static, Result<Chunk, LlmError>>;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// What the model said, in order.
    pub content: Vec<ContentBlock>,
    /// Why it stopped.
    pub finish: FinishReason,
    /// What it used.
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    pub model: Arc<str>,
}

/// A language model service, or something that stands in for one.
#[async_trait]
pub trait LlmProvider: Send + Sync {
    /// The provider's name, as in `gen_ai.provider.name`.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// Starts a streamed answer. An error here means that nothing was generated.
    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError>;

    /// A whole answer: the stream, assembled.
    async fn complete(&self, request: CompletionRequest) -> Result<Completion, LlmError> {
        complete_by_stream(self, request).await
    }
}

/// Assembles the streamed answer of `provider` into a whole one.
pub async fn complete_by_stream<P: LlmProvider + ?Sized>(
    provider: &P,
    request: CompletionRequest,
) -> Result<Completion, LlmError> {
    let mut assembler = Assembler::new(Arc::clone(&request.model));
    let mut chunks = provider.stream(request).await?;
    while let Some(chunk) = chunks.next().await {
        assembler.push(&chunk?).map_err(|error| error.into_llm_error(provider.name()))?;
    }
    assembler.finish().map_err(|error| error.into_llm_error(provider.name()))
}

/// Finds providers by the names that agents use for them.
pub trait Providers: Send + Sync {
    /// The provider configured under `name`, or `None`.
    fn get(&self, name: &str) -> Option<Arc<dyn LlmProvider>>;

    /// The names that can be used, sorted.
    fn names(&self) -> Vec<String>;
}
