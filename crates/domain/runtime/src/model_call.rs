//! Runs one model call: streams its answer to the feed and assembles it.

use std::sync::Arc;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use loom_base::Clock;
use loom_llm::{Assembler, Chunk, Completion, CompletionRequest, ErrorClass, LlmError, LlmProvider, Usage};

use crate::{Feed, Progress};

/// A model call that failed, and what it used all the same.
pub(crate) struct FailedCall {
    pub(crate) error: LlmError,
    pub(crate) usage: Usage,
    pub(crate) partial_text: String,
}

/// Calls the model; `stop` ends the call.
pub(crate) async fn run(
    provider: Arc<dyn LlmProvider>,
    request: CompletionRequest,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<Completion, FailedCall> {
    let mut assembler = Assembler::new(Arc::clone(&request.model));
    let name = provider.name().to_owned();
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(LlmError::new(&name, ErrorClass::Cancelled, "the call was cancelled")),
        outcome = stream(&*provider, request, &feed, &*clock, &mut assembler) => outcome,
    };
    let (usage, partial_text) = (assembler.usage(), assembler.text());
    let completed = match outcome {
        Ok(()) => assembler.finish().map_err(|error| error.into_llm_error(&name)),
        Err(error) => Err(error),
    };
    completed.map_err(|error| FailedCall { error, usage, partial_text })
}

async fn stream(
    provider: &dyn LlmProvider,
    request: CompletionRequest,
    feed: &Feed,
    clock: &dyn Clock,
    assembler: &mut Assembler,
) -> Result<(), LlmError> {
    let mut chunks = provider.stream(request).await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        assembler.push(&chunk).map_err(|error| error.into_llm_error(provider.name()))?;
        match chunk {
            Chunk::Text { delta, .. } if !delta.is_empty() => feed.push(clock.now(), Progress::Delta(delta)),
            Chunk::Waiting => feed.push(clock.now(), Progress::Waiting),
            _ => {}
        }
    }
    Ok(())
}
