//! How a backend fails.

use loom_base::ErrorCode;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendErrorKind {
    /// The query was refused before it was sent, or by a read-only wall.
    Refused,
    /// The engine rejected the query.
    Failed,
    /// The source does not answer.
    Unavailable,
    /// The query ran longer than it may; its work was stopped.
    TimedOut,
    /// The caller gave up; the query's work was stopped.
    Cancelled,
}

/// A failed backend call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{backend}: {message}")]
pub struct BackendError {
    /// The backend's name.
    pub backend: String,
    /// What kind of failure it was.
    pub kind: BackendErrorKind,
    /// What was wrong, where in the query when known, and what would be right. No secret, no connection string.
    pub message: String,
}

impl BackendError {
    /// A failure of `kind` at `backend`.
    pub fn new(backend: impl Into<String>, kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { backend: backend.into(), kind, message: message.into() }
    }

    /// The stable code users see.
    pub const fn code(&self) -> ErrorCode {
        match self.kind {
            BackendErrorKind::Refused => ErrorCode::QueryRefused,
            BackendErrorKind::Failed => ErrorCode::QueryFailed,
            BackendErrorKind::Unavailable => ErrorCode::BackendUnavailable,
            BackendErrorKind::TimedOut => ErrorCode::DeadlineExceeded,
            BackendErrorKind::Cancelled => ErrorCode::Cancelled,
        }
    }
}
