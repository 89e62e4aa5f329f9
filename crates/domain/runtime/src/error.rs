//! How a request to the runtime fails.

use std::time::Duration;

use loom_agent::Failure;
use loom_base::ErrorCode;
use loom_llm::LlmError;

/// A failed request: what was wrong and what to do, for the caller to read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The stable code users see.
    pub code: ErrorCode,
    /// What was wrong, where, and what would be right.
    pub message: String,
    /// When another try makes sense, where known.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of `code`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// No agent is called `name`; `known` are.
    pub(crate) fn agent_not_found(name: &str, known: &[String]) -> Self {
        let known = if known.is_empty() {
            "there is none yet: put an agent file into the agents folder, or create one by request".to_owned()
        } else {
            format!("known are {}", known.join(", "))
        };
        Self::new(ErrorCode::AgentNotFound, format!("no agent is called {name:?}; {known}"))
    }

    /// No provider is called `name`; `known` are.
    pub(crate) fn no_such_provider(name: &str, known: &[String]) -> Self {
        let message = format!("no provider is called {name:?}; known: {}", known.join(", "));
        Self::new(ErrorCode::NoProvider, message)
    }

    /// No session has this id.
    pub fn session_not_found(id: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::SessionNotFound, format!("no session has the id {id}"))
    }

    /// The error of a turn that has no answer.
    pub(crate) fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::Limit { limit } => Self::new(
                if *limit == loom_agent::Limit::Deadline {
                    ErrorCode::DeadlineExceeded
                } else {
                    ErrorCode::TurnLimit
                },
                format!("the turn reached its limit of {} before it had an answer", limit.as_str()),
            ),
            Failure::Llm { code, message, retry_after } => {
                Self { retry_after: *retry_after, ..Self::new(*code, message.clone()) }
            }
            Failure::Hook { point } => {
                Self::new(ErrorCode::PermissionDenied, format!("a hook at {point:?} stopped the turn"))
            }
            Failure::Budget => Self::new(ErrorCode::TurnLimit, "a budget beyond the turn's own is used up"),
        }
    }
}

impl From<loom_store::Error> for Error {
    fn from(error: loom_store::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<LlmError> for Error {
    fn from(error: LlmError) -> Self {
        Self { code: error.class.code(), message: error.to_string(), retry_after: error.retry_after }
    }
}
