//! Why a call failed, in the terms of Loom's error codes.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::{Code, ConnectError, Status, TimeoutExpired};

use loom_base::ErrorCode;
use loom_proto::ErrorDetails;

/// Why a call failed. Texts are the server's own: they may hold control characters and are cleaned before they are
/// shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened, in a sentence.
    pub message: String,
    /// The facts, by name.
    pub metadata: BTreeMap<String, String>,
    /// When it makes sense to send the same request again, if the server says so.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error without facts.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), metadata: BTreeMap::new(), retry_after: None }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Nobody listens at `address`.
    pub(crate) fn unreachable(address: &str) -> Self {
        let message = format!("no server answers at {address}; start one with `looms serve`");
        Self::new(ErrorCode::ServerUnreachable, message).with("server", address)
    }

    /// The connection to `address` broke while an answer was awaited.
    pub(crate) fn broken(address: &str, what: &str) -> Self {
        let message = format!("the connection to {address} broke: {what}");
        Self::new(ErrorCode::ServerUnreachable, message).with("server", address)
    }

    /// Every error of a Loom server says its code; whoever answered at `address` is none.
    fn stranger(status: &Status, address: &str) -> Self {
        let message = format!(
            "what answers at {address} does not speak Loom's gRPC ({}); is that the HTTP port, or another program?",
            status.message()
        );
        Self::new(ErrorCode::ServerUnreachable, message).with("server", address)
    }

    /// What `status`, received from or made on the way to `address`, means.
    pub(crate) fn from_status(status: &Status, address: &str) -> Self {
        // A status with a source was made on this side; one that was received has none.
        if std::error::Error::source(status).is_some() {
            return Self::from_transport(status, address);
        }
        let details = ErrorDetails::read(status.details());
        if details.reason.is_empty() && matches!(status.code(), Code::Internal | Code::Unknown) {
            return Self::stranger(status, address);
        }
        Self {
            code: details.reason.parse().unwrap_or_else(|()| nearest(status.code())),
            message: status.message().to_owned(),
            metadata: details.metadata,
            retry_after: details.retry_after,
        }
    }

    fn from_transport(status: &Status, address: &str) -> Self {
        if has_source::<ConnectError>(status) {
            return Self::unreachable(address);
        }
        if has_source::<TimeoutExpired>(status) {
            let message = format!("the server at {address} did not answer in time");
            return Self::new(ErrorCode::DeadlineExceeded, message).with("server", address);
        }
        Self::broken(address, status.message())
    }
}

/// Whether an error of type `E` is behind the status.
fn has_source<E: std::error::Error + 'static>(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The code for a status without details of Loom's.
const fn nearest(code: Code) -> ErrorCode {
    match code {
        Code::Cancelled => ErrorCode::Cancelled,
        Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidArgument,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::NotFound | Code::Unimplemented => ErrorCode::RouteNotFound,
        Code::PermissionDenied | Code::Unauthenticated => ErrorCode::PermissionDenied,
        Code::ResourceExhausted => ErrorCode::Overloaded,
        Code::Unavailable => ErrorCode::ServerUnreachable,
        Code::Ok
        | Code::Unknown
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_in_time_is_not_a_cancel() {
        let status = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(status.code(), Code::Cancelled);
        let error = Error::from_status(&status, "http://h:1");
        assert_eq!(error.code, ErrorCode::DeadlineExceeded);
        assert_eq!(error.message, "the server at http://h:1 did not answer in time");
    }

    #[test]
    fn what_is_no_loom_server_is_told_from_a_defect_of_one() {
        let error = Error::from_status(&Status::internal("invalid compression flag: 123"), "http://h:1");
        assert_eq!(error.code, ErrorCode::ServerUnreachable);
        assert!(error.message.contains("is that the HTTP port"), "{error}");
        let defect = ErrorDetails { reason: "LOOM_INTERNAL".to_owned(), ..ErrorDetails::default() };
        let status = Status::with_details(Code::Internal, "x", defect.write(Code::Internal, "x").into());
        assert_eq!(Error::from_status(&status, "http://h:1").code, ErrorCode::Internal);
    }

    #[test]
    fn a_code_of_the_future_is_the_nearest_one_and_keeps_its_facts() {
        let metadata = BTreeMap::from([("agent_id".to_owned(), "x".to_owned())]);
        let details = ErrorDetails {
            reason: "LOOM_OF_THE_FUTURE".to_owned(),
            metadata: metadata.clone(),
            ..ErrorDetails::default()
        };
        let details = details.write(Code::PermissionDenied, "no");
        let status = Status::with_details(Code::PermissionDenied, "no", details.into());
        let error = Error::from_status(&status, "http://h:1");
        assert_eq!((error.code, error.metadata), (ErrorCode::PermissionDenied, metadata));
    }
}
