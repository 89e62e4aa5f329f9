//! The three messages of `google.rpc` that Loom's errors use, after `google/rpc/status.proto` and
//! `google/rpc/error_details.proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_base::ErrorCode;
use prost::Message;
use tonic::Code;

use super::Failure;

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

/// What the details of a status say.
#[derive(Default)]
pub(super) struct Details {
    pub(super) code: Option<ErrorCode>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) retry_after: Option<Duration>,
}

pub(super) fn write(code: Code, failure: &Failure) -> Vec<u8> {
    let info = ErrorInfo {
        reason: failure.code.as_str().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: failure.metadata.clone(),
    };
    let mut details = vec![any(ERROR_INFO, &info)];
    if let Some(pause) = failure.retry_after {
        let retry_delay = prost_types::Duration::try_from(pause).ok();
        details.push(any(RETRY_INFO, &RetryInfo { retry_delay }));
    }
    RpcStatus { code: code.into(), message: failure.message.clone(), details }.encode_to_vec()
}

/// Reads details. What is not ours, or does not decode, is left out: a foreign status may hold anything.
pub(super) fn read(details: &[u8]) -> Details {
    let mut found = Details::default();
    let Ok(status) = RpcStatus::decode(details) else { return found };
    for detail in status.details {
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

fn any(type_url: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}
