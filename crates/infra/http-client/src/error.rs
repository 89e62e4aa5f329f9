//! How an exchange with a service fails.

use std::time::Duration;

/// A failed exchange. A status that reports a failure is not one: it is an answer.
///
/// Causes are flattened into one line and not linked, because reqwest's own errors print addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The TLS settings or the resolver of this machine cannot be used.
    #[error("no HTTP client can be built: {reason}")]
    Setup {
        /// The innermost cause.
        reason: String,
    },
    /// The request cannot be written as HTTP.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// No connection could be made; nothing was sent.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The service.
        host: String,
        /// The innermost cause.
        reason: String,
    },
    /// The connection broke off; the request may have been acted on.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The service.
        host: String,
        /// The innermost cause.
        reason: String,
    },
    /// The service sent nothing for too long.
    #[error("{host} sent nothing for {} s", waited.as_secs())]
    Silent {
        /// The service.
        host: String,
        /// The time allowed.
        waited: Duration,
    },
    /// The caller's deadline passed.
    #[error("the deadline passed while waiting for {host}")]
    Deadline {
        /// The service.
        host: String,
    },
    /// The answer, or one event of it, is larger than allowed.
    #[error("the answer of {host} is larger than {cap} bytes")]
    TooLarge {
        /// The service.
        host: String,
        /// The size allowed.
        cap: usize,
    },
}

impl Error {
    pub(crate) fn setup(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Setup { reason: innermost(error) }
    }

    pub(crate) fn exchange(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        let reason = innermost(error);
        if error.is_builder() {
            return Self::Request { reason };
        }
        if error.is_connect() {
            return Self::Connect { host, reason };
        }
        Self::Broken { host, reason }
    }
}

/// The cause at the bottom: the operating system's or the peer's word, which names no address of ours.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "the exchange was not completed".to_owned(),
        None => cause.to_string(),
    }
}
