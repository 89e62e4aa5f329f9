//! The provider: one HTTP exchange for each call.

use async_stream::try_stream;
use async_trait::async_trait;
use futures::{Stream, StreamExt};
use loom_base::EffectId;
use loom_http_client::{BaseUrl, Client, HeaderName, Request, Response};
use loom_llm::{
    Capabilities, Chunk, ChunkStream, CompletionRequest, CredentialSource, ErrorClass, LlmError, LlmProvider,
};

use crate::error::Failures;
use crate::events::Answer;
use crate::request::{Body, OutputLimitField};

/// Where OpenAI itself answers.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

const PATH: &str = "chat/completions";
const KEY_HEADER: HeaderName = HeaderName::from_static("authorization");
const EVENT_STREAM: &str = "text/event-stream";

/// One server and how it differs from others of its kind.
pub struct Settings {
    /// The name that agents, logs and prices know it by.
    pub name: String,
    /// Its address, with the version: requests go to `chat/completions` below it.
    pub base: BaseUrl,
    /// The key it wants; `None` for a server that wants none.
    pub key: Option<CredentialSource>,
    /// The field it reads the output limit from.
    pub output_limit: OutputLimitField,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Settings {
    /// OpenAI itself, or at `base` what stands in for it.
    pub fn openai(base: BaseUrl, key: CredentialSource) -> Self {
        Self {
            name: "openai".into(),
            base,
            key: Some(key),
            output_limit: OutputLimitField::MaxCompletionTokens,
            capabilities: Capabilities { tools: true, images: true, documents: true, prompt_cache: true },
        }
    }

    /// A compatible server called `name`, such as Ollama at `http://localhost:11434/v1`: it is trusted with tools only,
    /// and reads `max_tokens`.
    pub fn compatible(name: impl Into<String>, base: BaseUrl, key: Option<CredentialSource>) -> Self {
        Self {
            name: name.into(),
            base,
            key,
            output_limit: OutputLimitField::MaxTokens,
            capabilities: Capabilities { tools: true, ..Capabilities::default() },
        }
    }
}

/// Chat Completions at one address with one credential.
pub struct OpenAi {
    client: Client,
    settings: Settings,
}

impl OpenAi {
    /// A provider as `settings` say. Its key is read anew for each call.
    pub const fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings }
    }
}

#[async_trait]
impl LlmProvider for OpenAi {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.settings.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        let settings = &self.settings;
        let key = settings.key.as_ref().map(|key| key()).transpose()?;
        let failures = Failures::new(settings.name.clone(), key.clone());
        let body = Body::new(&request, settings.output_limit)
            .map_err(|error| failures.failure(ErrorClass::Invalid, error.to_string()))?;
        let mut post = Request::post_json(&settings.base, PATH, &body)
            .map_err(|error| failures.http(&error))?
            .trace(request.context.trace, request.context.effect)
            .deadline(request.context.deadline);
        if let Some(key) = &key {
            post = post.secret(KEY_HEADER, "Bearer ", key).map_err(|error| failures.http(&error))?;
        }
        let response = self.client.send(post).await.map_err(|error| failures.http(&error))?;
        if !response.status().is_success() {
            return Err(failures.rejection(response).await);
        }
        if !response.is_of_type(EVENT_STREAM) {
            return Err(failures.failure(ErrorClass::Malformed, "the answer is not an event stream"));
        }
        Ok(chunks(response, failures, request.context.effect).boxed())
    }
}

fn chunks(
    response: Response,
    failures: Failures,
    effect: EffectId,
) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
    try_stream! {
        let mut events = std::pin::pin!(response.events());
        let mut answer = Answer::new(effect);
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| failures.http(&error))?;
            if event.data.trim() == "[DONE]" {
                break;
            }
            for chunk in answer.read(&event.data, &failures)? {
                yield chunk;
            }
        }
        // Some servers leave `[DONE]` out; what counts is that the model finished.
        if !answer.is_finished() {
            Err(failures.failure(ErrorClass::Transient, "the answer broke off before it was finished"))?;
        }
    }
}
