//! What a Loom server writes into the details of a status, after `google/rpc/status.proto` and
//! `google/rpc/error_details.proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message;

use loom_base::ErrorCode;

/// The domain of every `ErrorInfo` of Loom.
const DOMAIN: &str = "loom";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`; its code and message are the gRPC status's own.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
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

/// What the details of a status say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// The code; `None` when no Loom wrote it, or a newer one than this.
    pub(crate) code: Option<ErrorCode>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retry_after: Option<Duration>,
}

/// Reads details. What is not Loom's, or does not decode, is left out: whoever stands between may send anything.
pub(crate) fn read(bytes: &[u8]) -> Details {
    let mut found = Details::default();
    for detail in RpcStatus::decode(bytes).unwrap_or_default().details {
        match detail.type_url.as_str() {
            ERROR_INFO => {
                let info = ErrorInfo::decode(detail.value.as_slice()).unwrap_or_default();
                if info.domain == DOMAIN {
                    found.code = info.reason.parse().ok();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(type_url: &str, message: &impl Message) -> prost_types::Any {
        prost_types::Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
    }

    fn info(reason: &str, domain: &str) -> prost_types::Any {
        let metadata = BTreeMap::from([("agent_id".to_owned(), "x".to_owned())]);
        detail(ERROR_INFO, &ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), metadata })
    }

    #[test]
    fn code_facts_and_pause_are_read() {
        let pause = prost_types::Duration { seconds: 2, nanos: 500_000_000 };
        let retry = detail(RETRY_INFO, &RetryInfo { retry_delay: Some(pause) });
        let status = RpcStatus { details: vec![info("LOOM_AGENT_NOT_FOUND", "loom"), retry] };
        let found = read(&status.encode_to_vec());
        assert_eq!(found.code, Some(ErrorCode::AgentNotFound));
        assert_eq!(found.metadata["agent_id"], "x");
        assert_eq!(found.retry_after, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn what_is_not_ours_is_left_out() {
        let foreign = RpcStatus { details: vec![info("LOOM_AGENT_NOT_FOUND", "example.com")] };
        assert_eq!(read(&foreign.encode_to_vec()), Details::default());
        assert_eq!(read(b"\xff\xff\xff"), Details::default());
        let newer = RpcStatus { details: vec![info("LOOM_OF_THE_FUTURE", "loom")] };
        let found = read(&newer.encode_to_vec());
        assert_eq!((found.code, found.metadata.len()), (None, 1));
    }
}
