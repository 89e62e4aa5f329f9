//! A scripted reply as the chunks a provider would send.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use loom_base::CallId;
use loom_llm::{
    Chunk, CompletionRequest, FinishReason, LlmError, ToolDefinition, Usage, estimate_message, estimate_text,
    estimate_tool,
};

use crate::conversation::Conversation;
use crate::script::{Failure, Reply};

/// What arrives, in order.
pub(crate) type Arrivals = Vec<Result<Chunk, LlmError>>;

impl Reply {
    /// Everything after the provider accepted the call.
    pub(crate) fn arrivals(
        &self,
        conversation: &Conversation<'_>,
        request: &CompletionRequest,
        estimate: &InputEstimate,
        chunk_size: usize,
    ) -> Arrivals {
        let (content, written) = self.content(conversation, request, chunk_size);
        let kept = self.error.as_ref().and_then(|error| error.after_chunks).unwrap_or(usize::MAX);
        let usage = self.usage(request, estimate, written);
        let mut arrivals = Vec::with_capacity(content.len().min(kept) + 3);
        arrivals.push(Ok(Chunk::Start { model: Arc::clone(&request.model) }));
        arrivals.extend(content.into_iter().take(kept).map(Ok));
        arrivals.push(Ok(Chunk::Usage(usage)));
        arrivals.push(match &self.error {
            Some(failure) => Err(failure.to_error()),
            None => Ok(Chunk::Finish(self.finish())),
        });
        arrivals
    }

    fn finish(&self) -> FinishReason {
        let usual = if self.tool_calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolUse };
        self.finish.unwrap_or(usual)
    }

    /// The content, and about how many tokens it is.
    fn content(
        &self,
        conversation: &Conversation<'_>,
        request: &CompletionRequest,
        chunk_size: usize,
    ) -> (Vec<Chunk>, u64) {
        let mut chunks = Vec::new();
        let mut written = 0;
        let mut index = 0;
        if let Some(template) = &self.text {
            let text = template.render(conversation);
            written += estimate_text(&text);
            chunks.extend(pieces(text, chunk_size).map(|delta| Chunk::Text { index, delta }));
            index += 1;
        }
        for call in self.tool_calls.iter().flat_map(|call| std::iter::repeat_n(call, call.repeat)) {
            let id = CallId::new(format!("mock_{}_{index}", request.context.effect.number));
            let name: Arc<str> = call.name.as_str().into();
            let arguments: Arc<str> = call.arguments.to_string().into();
            written += estimate_text(&name) + estimate_text(&arguments);
            chunks.push(Chunk::ToolUse { index, id, name });
            chunks.extend(pieces(arguments, chunk_size).map(|delta| Chunk::ToolInput { index, delta }));
            index += 1;
        }
        (chunks, written)
    }

    fn usage(&self, request: &CompletionRequest, estimate: &InputEstimate, written: u64) -> Usage {
        Usage {
            input: self.usage.input.unwrap_or_else(|| estimate.of(request)),
            output: self.usage.output.unwrap_or(written),
            cache_read: self.usage.cache_read.unwrap_or(0),
            cache_write: self.usage.cache_write.unwrap_or(0),
        }
    }
}

impl Failure {
    pub(crate) fn to_error(&self) -> LlmError {
        LlmError::new(crate::provider::NAME, self.class, self.message.as_str()).retry_after(self.retry_after)
    }
}

/// Estimates what a request costs to read. The estimate of the tools, the dearest part, is kept while callers send the
/// same ones.
#[derive(Default)]
pub(crate) struct InputEstimate {
    tools: ArcSwapOption<(Arc<[ToolDefinition]>, u64)>,
}

impl InputEstimate {
    fn of(&self, request: &CompletionRequest) -> u64 {
        let messages: u64 = request.messages.iter().map(|message| estimate_message(message)).sum();
        estimate_text(&request.system) + messages + self.of_tools(&request.tools)
    }

    fn of_tools(&self, tools: &Arc<[ToolDefinition]>) -> u64 {
        if let Some((known, tokens)) = self.tools.load().as_deref()
            && Arc::ptr_eq(known, tools)
        {
            return *tokens;
        }
        let tokens = tools.iter().map(estimate_tool).sum();
        self.tools.store(Some(Arc::new((Arc::clone(tools), tokens))));
        tokens
    }
}

/// `text` in pieces of `size` characters; whole when `size` is 0.
fn pieces(text: Arc<str>, size: usize) -> impl Iterator<Item = Arc<str>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length =
            rest.char_indices().nth(size).filter(|_| size > 0).map_or(rest.len(), |(length, _)| length);
        let piece = if length == text.len() { Arc::clone(&text) } else { rest[..length].into() };
        at += length;
        Some(piece)
    })
}
