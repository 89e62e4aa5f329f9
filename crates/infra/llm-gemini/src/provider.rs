//! The provider: one HTTP exchange for each call.

use async_stream::try_stream;
use async_trait::async_trait;
use futures::{Stream, StreamExt};
use loom_base::EffectId;
use loom_http_client::{BaseUrl, Client, HeaderName, Request, Response};
use loom_llm::{
    Capabilities, Chunk, ChunkStream, CompletionRequest, CredentialSource, ErrorClass, LlmError, LlmProvider,
};

use crate::error::{Failures, NAME, failure, http};
use crate::events::Answer;
use crate::request::Body;

/// Where Google itself answers, version included.
pub const DEFAULT_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
const EVENT_STREAM: &str = "text/event-stream";

/// The Gemini API at one address with one credential.
pub struct Gemini {
    client: Client,
    base: BaseUrl,
    key: CredentialSource,
    capabilities: Capabilities,
}

impl Gemini {
    /// A provider that sends to `models/MODEL:streamGenerateContent` below `base` and reads its key anew for each call.
    pub fn new(client: Client, base: BaseUrl, key: CredentialSource) -> Self {
        let capabilities = Capabilities { tools: true, images: true, documents: true, prompt_cache: true };
        Self { client, base, key, capabilities }
    }
}

#[async_trait]
impl LlmProvider for Gemini {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        let key = (self.key)()?;
        let failures = Failures::new(key.clone());
        let path = path(&request.model)?;
        let body = Body::new(&request)?;
        let post = Request::post_json(&self.base, &path, &body)
            .map_err(|error| http(&error))?
            .query("alt", "sse")
            .secret(KEY_HEADER, "", &key)
            .map_err(|error| http(&error))?
            .trace(request.context.trace, request.context.effect)
            .deadline(request.context.deadline);
        let response = self.client.send(post).await.map_err(|error| http(&error))?;
        if !response.status().is_success() {
            return Err(failures.rejection(response).await);
        }
        if !response.is_of_type(EVENT_STREAM) {
            return Err(failure(ErrorClass::Malformed, "the answer is not an event stream"));
        }
        Ok(chunks(response, failures, request.context.effect).boxed())
    }
}

/// The path of a model. Its name becomes a part of the address, so that nothing but a name may be in it.
fn path(model: &str) -> Result<String, LlmError> {
    let name = model.strip_prefix("models/").unwrap_or(model);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let message = format!("{model:?} is no model's name: it has letters, digits, `-`, `_` and `.` only");
        return Err(failure(ErrorClass::UnknownModel, message));
    }
    Ok(format!("models/{name}:streamGenerateContent"))
}

/// The protocol has no last event: an answer is whole when the model said why it stopped and the body then ends.
fn chunks(
    response: Response,
    failures: Failures,
    effect: EffectId,
) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
    try_stream! {
        let mut events = std::pin::pin!(response.events());
        let mut answer = Answer::new(effect);
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| http(&error))?;
            for chunk in answer.read(&event.data, &failures)? {
                yield chunk;
            }
        }
        if !answer.is_finished() {
            Err(failure(ErrorClass::Transient, "the answer broke off before it was finished"))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_one_part_of_the_path_and_nothing_else() {
        assert_eq!(path("gemini-2.5-pro").unwrap(), "models/gemini-2.5-pro:streamGenerateContent");
        assert_eq!(path("models/gemini-2.5-pro").unwrap(), path("gemini-2.5-pro").unwrap());
        for model in ["", "..", "../../v1/files", "a/b", "a?key=b", "a:generateContent", "a b"] {
            assert_eq!(path(model).unwrap_err().class, ErrorClass::UnknownModel, "{model}");
        }
    }
}
