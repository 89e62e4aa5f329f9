//! Why a command failed, and how that is told.

use std::io::{self, Write};

use loom_base::ErrorCode;
use serde_json::json;

use crate::render::text::{clean, clean_line};
use crate::{Exit, Format};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the call, or none answered.
    #[error(transparent)]
    Server(#[from] loom_grpc::Error),
    /// The answer could not be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
    /// The questions could not be read.
    #[error("the input cannot be read")]
    Input(#[source] io::Error),
    /// The user interrupted the command.
    #[error("interrupted")]
    Interrupted,
    /// What is stored is not what it should be.
    #[error("{count} things in the store are wrong")]
    Violations {
        /// How many.
        count: i64,
    },
    /// The server says so of itself.
    #[error("the server is {status}")]
    Unhealthy {
        /// What it says.
        status: String,
    },
}

impl Error {
    /// The stable code, where there is one.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(error) => Some(error.code),
            Self::Interrupted => Some(ErrorCode::Cancelled),
            Self::Violations { .. } => Some(ErrorCode::StoreCorrupt),
            Self::Output(_) | Self::Input(_) | Self::Unhealthy { .. } => None,
        }
    }

    /// What the shell is told. Output that nobody reads any more, as in `looms … | head`, is no failure.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Server(error) => Exit::of(error.code),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Output(_)
            | Self::Input(_)
            | Self::Interrupted
            | Self::Violations { .. }
            | Self::Unhealthy { .. } => Exit::Failed,
        }
    }
}

/// Tells `error` to a person or, as JSON, to a program. What is no failure is not told.
pub fn report(error: &Error, format: Format, out: &mut dyn Write) -> io::Result<()> {
    if error.exit() == Exit::Ok {
        return Ok(());
    }
    let server = match error {
        Error::Server(error) => Some(error),
        _ => None,
    };
    if format == Format::Json {
        let document = json!({"error": {
            "code": error.code().map(ErrorCode::as_str),
            "message": message(error),
            "metadata": server.map(|error| &error.metadata),
        }});
        return writeln!(out, "{document}");
    }
    writeln!(out, "error: {}", clean(&message(error)))?;
    let Some(server) = server else { return Ok(()) };
    writeln!(out, "  code: {}", server.code)?;
    for (name, value) in &server.metadata {
        // The address is in the message already.
        if name != "server" {
            writeln!(out, "  {}: {}", clean_line(name), clean_line(value))?;
        }
    }
    if let Some(pause) = server.retry_after {
        writeln!(out, "  try again in {:.1} s", pause.as_secs_f64())?;
    }
    Ok(())
}

/// The error's text with those of its sources.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(error: &Error, format: Format) -> String {
        let mut out = Vec::new();
        report(error, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_of_the_server_is_told_with_code_and_facts() {
        let mut error = loom_grpc::Error::new(ErrorCode::LlmRateLimited, "slow\u{1b}[2J down")
            .with("trace_id", "0af7\nerror: fake")
            .with("server", "http://h:1");
        error.retry_after = Some(Duration::from_millis(2500));
        let error = Error::from(error);
        insta::assert_snapshot!(told(&error, Format::Text));
        insta::assert_snapshot!(told(&error, Format::Json));
    }

    #[test]
    fn other_errors_tell_their_cause() {
        let error = Error::Input(io::Error::other("no disk"));
        assert_eq!(told(&error, Format::Text), "error: the input cannot be read: no disk\n");
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn output_that_nobody_reads_is_no_failure() {
        let error = Error::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((error.exit(), told(&error, Format::Text).as_str()), (Exit::Ok, ""));
    }
}
