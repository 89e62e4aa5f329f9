//! What a command's end tells the shell.

use loom_base::{Category, ErrorCode};

/// How a command ended. The numbers are documented in the crate's table and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong; clap uses this number too.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
    /// The thing named does not exist.
    NotFound = 4,
    /// The request is wrong, not allowed, or the server is not set up for it.
    Refused = 5,
}

impl Exit {
    /// How a command ends that failed with `code`.
    pub const fn of(code: ErrorCode) -> Self {
        if matches!(code, ErrorCode::ServerUnreachable) {
            return Self::Unreachable;
        }
        match code.category() {
            Category::NotFound => Self::NotFound,
            Category::InvalidArgument
            | Category::AlreadyExists
            | Category::PermissionDenied
            | Category::Unauthenticated
            | Category::FailedPrecondition => Self::Refused,
            Category::ResourceExhausted
            | Category::Aborted
            | Category::Cancelled
            | Category::DeadlineExceeded
            | Category::Unavailable
            | Category::Unimplemented
            | Category::DataLoss
            | Category::Internal => Self::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_number() {
        let cases = [
            (ErrorCode::ServerUnreachable, 3),
            (ErrorCode::SessionNotFound, 4),
            (ErrorCode::RouteNotFound, 4),
            (ErrorCode::EmptyQuery, 5),
            (ErrorCode::NoProvider, 5),
            (ErrorCode::LlmUnavailable, 1),
            (ErrorCode::Internal, 1),
        ];
        for (code, number) in cases {
            assert_eq!(Exit::of(code) as u8, number, "{code}");
        }
    }
}
