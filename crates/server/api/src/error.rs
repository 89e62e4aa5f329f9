//! One failure, told in two languages: gRPC status with `google.rpc` details, and RFC 9457 problem JSON.

mod pages;
mod problem;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use loom_base::{Category, ErrorCode, Retry};
use loom_proto::ErrorDetails;
use tonic::{Code, Status};

pub(crate) use pages::page;
pub(crate) use problem::{http_status, problem, problem_response};

/// The longest message sent, in bytes. Trailers have to fit the header limits of every client on the way.
const MAX_MESSAGE_BYTES: usize = 2048;
/// The longest fact sent, in bytes: some repeat what the caller wrote.
const MAX_FACT_BYTES: usize = 256;

/// Why a request failed, as a caller may know it. Never holds a secret or a source error's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened, in a sentence for a person.
    pub message: String,
    /// The facts, by name, for a program.
    pub metadata: BTreeMap<String, String>,
    /// When it makes sense to send the same request again, if that is known.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// The fact where the server listens that has what was asked for.
    pub(crate) const HOLDER: &str = "holder";

    /// A failure without facts.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), metadata: BTreeMap::new(), retry_after: None }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Says when the same request may be sent again.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The failure behind a status. One that carries no `ErrorInfo` of ours gets the code nearest to its gRPC code.
    pub fn from_status(status: &Status) -> Self {
        let details = ErrorDetails::read(status.details());
        Self {
            code: details.reason.parse().unwrap_or_else(|()| nearest(status.code())),
            message: status.message().to_owned(),
            metadata: details.metadata,
            retry_after: details.retry_after,
        }
    }

    pub(crate) const fn grpc_code(&self) -> Code {
        grpc_code(self.code.category())
    }

    /// Whether the same request may be sent again.
    pub fn is_retryable(&self) -> bool {
        self.code.retry() == Retry::Later
    }
}

impl From<Failure> for Status {
    fn from(mut failure: Failure) -> Self {
        failure.message.truncate(failure.message.floor_char_boundary(MAX_MESSAGE_BYTES));
        for fact in failure.metadata.values_mut() {
            fact.truncate(fact.floor_char_boundary(MAX_FACT_BYTES));
        }
        let code = failure.grpc_code();
        let details = ErrorDetails {
            reason: failure.code.as_str().to_owned(),
            metadata: failure.metadata,
            retry_after: failure.retry_after,
        };
        let details = details.write(code, &failure.message);
        Self::with_details(code, failure.message, Bytes::from(details))
    }
}

/// A gRPC status for `code`, with the facts of `metadata` in its `google.rpc.ErrorInfo`.
pub fn status<const N: usize>(
    code: ErrorCode,
    message: impl Into<String>,
    metadata: [(&str, String); N],
) -> Status {
    let metadata = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Status::from(Failure { code, message: message.into(), metadata, retry_after: None })
}

const fn grpc_code(category: Category) -> Code {
    match category {
        Category::InvalidArgument => Code::InvalidArgument,
        Category::NotFound => Code::NotFound,
        Category::AlreadyExists => Code::AlreadyExists,
        Category::PermissionDenied => Code::PermissionDenied,
        Category::Unauthenticated => Code::Unauthenticated,
        Category::FailedPrecondition => Code::FailedPrecondition,
        Category::ResourceExhausted => Code::ResourceExhausted,
        Category::Aborted => Code::Aborted,
        Category::Cancelled => Code::Cancelled,
        Category::DeadlineExceeded => Code::DeadlineExceeded,
        Category::Unavailable => Code::Unavailable,
        Category::Unimplemented => Code::Unimplemented,
        Category::DataLoss => Code::DataLoss,
        Category::Internal => Code::Internal,
    }
}

/// The code for a status that some library made.
const fn nearest(code: Code) -> ErrorCode {
    match code {
        Code::Cancelled => ErrorCode::Cancelled,
        Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidArgument,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::NotFound | Code::Unimplemented => ErrorCode::RouteNotFound,
        Code::PermissionDenied | Code::Unauthenticated => ErrorCode::PermissionDenied,
        Code::ResourceExhausted => ErrorCode::Overloaded,
        Code::Unavailable => ErrorCode::ShuttingDown,
        Code::Ok
        | Code::Unknown
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => ErrorCode::Internal,
    }
}
