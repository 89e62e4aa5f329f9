//! Tells an HTTP service, signed after the Standard Webhooks specification, and takes its answer.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loom_base::{Clock, ErrorCode, Secret};
use loom_http_client::{
    AddressError, BaseUrl, Client, Error, HeaderName, HeaderValue, Request, Response, StatusCode,
};
use loom_tools::{EffectClass, Hook, HookAnswer, HookInput, HookSpec, ToolContext, ToolError};
use ring::hmac;
use serde::Serialize;

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 * 1024;
/// What a secret in base64 begins with.
const BASE64_SECRET: &str = "whsec_";

/// Reads the secret at the moment it is needed; an error says where it should be, and never shows it.
pub type SecretSource = Arc<dyn Fn() -> Result<Secret, String> + Send + Sync>;

/// Why there cannot be such a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Its address is none.
    #[error("`url` is no address of a service: {0}")]
    Address(#[from] AddressError),
}

/// A hook that POSTs what it is told as JSON to a service.
///
/// Headers are those of [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id`, the effect; `webhook-timestamp`,
/// seconds since the epoch; `webhook-signature`, `v1,` and the base64 of the HMAC-SHA256 over id, timestamp and body, joined by
/// full stops. `idempotency-key` is the effect as well. An answer with status 2xx and a body of JSON is a
/// [`HookAnswer`]; one without a body lets the turn go on. Every other answer is a failure. Redirects are not followed.
pub struct Webhook {
    spec: HookSpec,
    url: BaseUrl,
    secret: SecretSource,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// The hook that `spec` declares, told at `url`.
    pub fn new(
        spec: HookSpec,
        url: &str,
        secret: SecretSource,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WebhookError> {
        Ok(Self { spec, url: url.parse()?, secret, client, clock })
    }

    fn request(&self, input: &HookInput, context: &ToolContext) -> Result<Request, ToolError> {
        let now = self.clock.now();
        let body = Body {
            kind: format!("loom.hook.{}", input.point.as_str()),
            timestamp: now.to_string(),
            data: input,
        };
        let failed = |message: String| ToolError::failed(ErrorCode::ToolFailed, message);
        let body = serde_json::to_vec(&body).map_err(|error| failed(error.to_string()))?;
        let secret = (self.secret)().map_err(|error| ToolError::failed(ErrorCode::Credential, error))?;
        // The specification wants no full stop in an id: the signature joins by them.
        let (id, timestamp) = (input.effect.to_string().replace('.', "_"), now.as_seconds().to_string());
        let signature = signature(&secret, &id, &timestamp, &body).ok_or_else(|| {
            ToolError::failed(ErrorCode::Credential, "the secret after `whsec_` is not base64")
        })?;
        let mut request = Request::post_bytes(&self.url, body);
        for (name, value) in [
            ("webhook-id", &id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
            ("idempotency-key", &id),
        ] {
            let value = HeaderValue::try_from(value).map_err(|error| failed(error.to_string()))?;
            request = request.header(HeaderName::from_static(name), value);
        }
        Ok(request.trace(context.trace, input.effect))
    }

    async fn ask(&self, request: Request) -> Result<HookAnswer, ToolError> {
        let class = self.spec.effect;
        let response = self.client.send(request).await.map_err(|error| broken(&error, class))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(&response, class));
        }
        let body = response.bytes(MOST_ANSWER).await.map_err(|error| broken(&error, class))?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(HookAnswer::Continue {});
        }
        serde_json::from_slice(&body).map_err(|error| {
            let message =
                format!("{} answered {status} with something that is no answer: {error}", self.url.host());
            ToolError::failed(ErrorCode::ToolFailed, message)
        })
    }
}

#[async_trait]
impl Hook for Webhook {
    fn spec(&self) -> &HookSpec {
        &self.spec
    }

    async fn run(&self, input: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError> {
        let request = self.request(&input, &context)?;
        tokio::select! {
            answer = self.ask(request) => answer,
            () = context.cancel.cancelled() => {
                Err(ToolError::interrupted(ErrorCode::Cancelled, "the request was stopped"))
            }
        }
    }
}

/// What the specification recommends: what happened, when, and the data.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: &'a HookInput,
}

/// The signature of `body`; `None` for a secret that says it is base64 and is not.
fn signature(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let text = secret.expose().trim();
    let key = match text.strip_prefix(BASE64_SECRET) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    Some(format!("v1,{}", STANDARD.encode(context.sign())))
}

/// An exchange that failed: before anything was sent, or after which nobody knows. Where it may be repeated, that does
/// not matter.
fn broken(error: &Error, class: EffectClass) -> ToolError {
    let message = error.to_string();
    match error {
        Error::Connect { .. } => ToolError::unavailable(ErrorCode::ToolFailed, message),
        Error::Broken { .. } if class.is_repeatable() => {
            ToolError::unavailable(ErrorCode::ToolFailed, message)
        }
        Error::Broken { .. } | Error::Silent { .. } | Error::Deadline { .. } => {
            ToolError::interrupted(ErrorCode::ToolFailed, message)
        }
        Error::Setup { .. } | Error::Request { .. } | Error::TooLarge { .. } => {
            ToolError::failed(ErrorCode::ToolFailed, message)
        }
    }
}

/// An answer that is none. A service that is busy or away says that it did nothing.
fn refused(response: &Response, class: EffectClass) -> ToolError {
    let status = response.status();
    let message = format!("the service answered {status}");
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            ToolError::unavailable(ErrorCode::ToolFailed, message)
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if class.is_repeatable() => {
            ToolError::unavailable(ErrorCode::ToolFailed, message)
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            ToolError::interrupted(ErrorCode::ToolFailed, message)
        }
        _ => ToolError::failed(ErrorCode::ToolFailed, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let (id, timestamp, body) =
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = signature(&secret, id, timestamp, body);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(super::signature(&Secret::new("whsec_???"), id, timestamp, body), None);
    }
}
