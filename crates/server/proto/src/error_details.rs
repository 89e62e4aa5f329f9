//! The three messages of `google.rpc` that Loom's errors use, after `google/rpc/status.proto` and
//! `google/rpc/error_details.proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message;

/// The domain of every `ErrorInfo` of ours.
const DOMAIN: &str = "loom";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// What the details of a gRPC status say about an error of Loom's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorDetails {
    /// The error's code; empty when no Loom wrote the details.
    pub reason: String,
    /// The facts, by name.
    pub metadata: BTreeMap<String, String>,
    /// When it makes sense to send the same request again, if that is known.
    pub retry_after: Option<Duration>,
}

impl ErrorDetails {
    /// Reads details. What is not ours, or does not decode, is left out: whoever stands between may send anything.
    pub fn read(details: &[u8]) -> Self {
        let mut found = Self::default();
        for detail in RpcStatus::decode(details).unwrap_or_default().details {
            match detail.type_url.as_str() {
                ERROR_INFO => {
                    let info = ErrorInfo::decode(detail.value.as_slice()).unwrap_or_default();
                    if info.domain == DOMAIN {
                        found.reason = info.reason;
                        found.metadata = info.metadata;
                    }
                }
                RETRY_INFO => {
                    let info = RetryInfo::decode(detail.value.as_slice()).unwrap_or_default();
                    found.retry_after = info.retry_delay.and_then(|delay| delay.try_into().ok());
                }
                _ => {}
            }
        }
        found
    }

    /// Writes the details of a status with this code and message.
    pub fn write(self, code: tonic::Code, message: impl Into<String>) -> Vec<u8> {
        let info = ErrorInfo { reason: self.reason, domain: DOMAIN.to_owned(), metadata: self.metadata };
        let mut details = vec![any(ERROR_INFO, &info)];
        if let Some(pause) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(pause).ok();
            details.push(any(RETRY_INFO, &RetryInfo { retry_delay }));
        }
        RpcStatus { code: code.into(), message: message.into(), details }.encode_to_vec()
    }
}

fn any(type_url: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> ErrorDetails {
        ErrorDetails {
            reason: "LOOM_AGENT_NOT_FOUND".to_owned(),
            metadata: BTreeMap::from([("agent_id".to_owned(), "x".to_owned())]),
            retry_after: Some(Duration::from_millis(2500)),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let written = details().write(tonic::Code::NotFound, "no agent \"x\"");
        let status = RpcStatus::decode(written.as_slice()).unwrap();
        assert_eq!((status.code, status.message.as_str()), (5, "no agent \"x\""));
        assert_eq!(ErrorDetails::read(&written), details());
    }

    #[test]
    fn what_is_not_ours_is_left_out() {
        let info =
            ErrorInfo { reason: "X".to_owned(), domain: "example.com".to_owned(), ..ErrorInfo::default() };
        let foreign = RpcStatus { details: vec![any(ERROR_INFO, &info)], ..RpcStatus::default() };
        assert_eq!(ErrorDetails::read(&foreign.encode_to_vec()), ErrorDetails::default());
        assert_eq!(ErrorDetails::read(b"\xff\xff\xff"), ErrorDetails::default());
    }
}
