//! Why a command failed, and what the shell is told.

use std::fmt;

use loom_cli::{Exit, Format};
use loom_embed::base::ErrorCode;
use loom_embed::config::{ConfigError, ConfigErrors};
use loom_embed::fabric::BackendError;

/// Why a command failed.
pub(crate) struct Failure(loom_cli::Error);

impl Failure {
    /// A failure of `code`; the message says what was wrong and what would be right.
    pub(crate) fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self(loom_grpc::Error::new(code, message.to_string()).into())
    }

    /// Tells the user, on stderr, and says what the shell is told.
    pub(crate) fn report(&self, format: Format) -> Exit {
        // Where stderr is closed, the exit code still tells.
        let _ = loom_cli::report(&self.0, format, &mut std::io::stderr());
        self.0.exit()
    }
}

impl From<loom_cli::Error> for Failure {
    fn from(error: loom_cli::Error) -> Self {
        Self(error)
    }
}

impl From<loom_grpc::Error> for Failure {
    fn from(error: loom_grpc::Error) -> Self {
        Self(error.into())
    }
}

impl From<loom_embed::runtime::Error> for Failure {
    fn from(error: loom_embed::runtime::Error) -> Self {
        Self::new(error.code, error.message)
    }
}

impl From<ConfigErrors> for Failure {
    /// Under the code of the problems when they agree on one.
    fn from(errors: ConfigErrors) -> Self {
        let mut codes = errors.iter().map(ConfigError::code);
        let first = codes.next().unwrap_or(ErrorCode::InvalidConfig);
        let code = if codes.all(|code| code == first) { first } else { ErrorCode::InvalidConfig };
        Self::new(code, errors)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::new(error.code(), error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(loom_cli::Error::Output(error))
    }
}
