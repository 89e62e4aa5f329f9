//! The provider: one HTTP exchange for each call.

use async_stream::try_stream;
use async_trait::async_trait;
use futures::{Stream, StreamExt};
use loom_http_client::{BaseUrl, Client, HeaderName, HeaderValue, Request, Response};
use loom_llm::{
    Capabilities, Chunk, ChunkStream, CompletionRequest, CredentialSource, ErrorClass, LlmError, LlmProvider,
};

use crate::error::{Failures, NAME, failure, http};
use crate::events::Answer;
use crate::request::Body;

/// Where Anthropic itself answers.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

const PATH: &str = "v1/messages";
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const VERSION_HEADER: HeaderName = HeaderName::from_static("anthropic-version");
/// The version of the wire format this crate is written for.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const EVENT_STREAM: &str = "text/event-stream";

/// Anthropic's Messages API at one address with one credential.
pub struct Anthropic {
    client: Client,
    base: BaseUrl,
    key: CredentialSource,
    capabilities: Capabilities,
}

impl Anthropic {
    /// A provider that sends to `v1/messages` below `base` and reads its key anew for each call.
    pub fn new(client: Client, base: BaseUrl, key: CredentialSource) -> Self {
        let capabilities = Capabilities { tools: true, images: true, documents: true, prompt_cache: true };
        Self { client, base, key, capabilities }
    }
}

#[async_trait]
impl LlmProvider for Anthropic {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        let key = (self.key)()?;
        let failures = Failures::new(key.clone());
        let body = Body::new(&request)?;
        let post = Request::post_json(&self.base, PATH, &body)
            .map_err(|error| http(&error))?
            .secret(KEY_HEADER, "", &key)
            .map_err(|error| http(&error))?
            .header(VERSION_HEADER, VERSION)
            .trace(request.context.trace, request.context.effect)
            .deadline(request.context.deadline);
        let response = self.client.send(post).await.map_err(|error| http(&error))?;
        if !response.status().is_success() {
            return Err(failures.rejection(response).await);
        }
        if !response.is_of_type(EVENT_STREAM) {
            return Err(failure(ErrorClass::Malformed, "the answer is not an event stream"));
        }
        Ok(chunks(response, failures).boxed())
    }
}

fn chunks(response: Response, failures: Failures) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
    try_stream! {
        let mut events = std::pin::pin!(response.events());
        let mut answer = Answer::default();
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| http(&error))?;
            for chunk in answer.read(&event.data, &failures)? {
                yield chunk;
            }
            if answer.is_complete() {
                return;
            }
        }
        Err(failure(ErrorClass::Transient, "the answer broke off before it was finished"))?;
    }
}
