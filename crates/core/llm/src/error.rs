//! How a model call fails.

use std::time::Duration;

use loom_base::ErrorCode;

/// What kind of failure it was; decides whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The connection or the provider's machine failed: another try may work.
    Transient,
    /// Too many requests for now.
    RateLimited,
    /// The account is used up.
    Quota,
    /// The credential is missing or was rejected.
    Auth,
    /// The request is wrong in itself.
    Invalid,
    /// The provider has no such model.
    UnknownModel,
    /// The conversation does not fit the model's window.
    ContextTooLong,
    /// What came back is not the provider's protocol.
    Malformed,
    /// The deadline passed.
    Deadline,
    /// The caller gave up.
    Cancelled,
}

impl ErrorClass {
    /// Whether the same request may succeed a little later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::RateLimited | Self::Malformed)
    }

    /// What a refusal with this HTTP status means when the provider says nothing more exact.
    pub const fn of_http_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Auth,
            402 => Self::Quota,
            413 => Self::ContextTooLong,
            429 => Self::RateLimited,
            408 | 409 | 425 | 500..=599 => Self::Transient,
            _ => Self::Invalid,
        }
    }

    /// The stable code users see.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Transient => ErrorCode::LlmUnavailable,
            Self::RateLimited => ErrorCode::LlmRateLimited,
            Self::Quota => ErrorCode::LlmQuota,
            Self::Auth => ErrorCode::Credential,
            Self::Invalid => ErrorCode::LlmRequestRejected,
            Self::UnknownModel => ErrorCode::ModelNotFound,
            Self::ContextTooLong => ErrorCode::ContextTooLong,
            Self::Malformed => ErrorCode::LlmInvalidResponse,
            Self::Deadline => ErrorCode::DeadlineExceeded,
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }
}

/// A failed model call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{provider}: {message}")]
pub struct LlmError {
    /// The provider that was called.
    pub provider: String,
    /// What kind of failure it was.
    pub class: ErrorClass,
    /// What the provider or the connection said: one line, no secret.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl LlmError {
    /// A failure of `class` at `provider`.
    pub fn new(provider: impl Into<String>, class: ErrorClass, message: impl Into<String>) -> Self {
        Self { provider: provider.into(), class, message: message.into(), retry_after: None }
    }

    /// The same failure, with the wait the provider asked for.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// What kind of failure it was.
    pub const fn class(&self) -> ErrorClass {
        self.class
    }
}
