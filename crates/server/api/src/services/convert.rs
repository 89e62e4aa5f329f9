//! Small translations that several RPCs share.

use std::time::Duration;

use loom_base::{ErrorCode, NanoUsd, SessionId, TurnId};
use loom_llm::Usage;
use loom_proto::v1::{CostInfo, LlmCost};
use loom_store::Page;

use crate::Failure;

/// A count on the wire: what does not fit is the largest that does.
pub(super) fn count(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The same for 64 bits.
pub(super) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whole milliseconds of a span.
pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A number that may be absent: 0 is absent, and a negative one is refused.
pub(super) fn positive(field: &str, number: i32) -> Result<Option<u32>, Failure> {
    match u32::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => {
            Err(invalid(field, format!("{field} is {number}; it must be positive, or 0 for the default")))
        }
    }
}

/// How many items a page is to have; `None` for the default. More than a page can have are refused.
pub(super) fn page_size(field: &str, number: i32) -> Result<Option<u32>, Failure> {
    let size = positive(field, number)?;
    if size.is_some_and(|size| size > Page::MAX_LIMIT) {
        let message = format!("{field} is {number}; a page has at most {}", Page::MAX_LIMIT);
        return Err(invalid(field, message).with("limit", Page::MAX_LIMIT.to_string()));
    }
    Ok(size)
}

/// The part of a list that is wanted.
pub(super) fn page(offset: i32, limit: i32) -> Result<Page, Failure> {
    let offset = positive("offset", offset)?.unwrap_or(0);
    let limit = page_size("limit", limit)?.unwrap_or(0);
    Ok(Page::new(u64::from(offset), limit))
}

/// A text that may be absent: empty is absent.
pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The refusal of a field's value.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, message).with("field", field)
}

/// The refusal of a field whose feature is not in this version.
pub(super) fn unsupported(field: &str, instead: &str) -> Failure {
    let message = format!("the field {field} is not supported: {instead}");
    Failure::new(ErrorCode::UnsupportedField, message).with("field", field)
}

/// A session id that must be there.
pub(super) fn session_id(text: &str) -> Result<SessionId, Failure> {
    text.parse().map_err(|error: loom_base::IdError| invalid("session_id", error.to_string()))
}

pub(super) fn turn_id(text: &str) -> Result<TurnId, Failure> {
    text.parse().map_err(|error: loom_base::IdError| invalid("turn_id", error.to_string()))
}

/// Tokens and their price on the wire. Input counts what the cache served and took too, as clients expect.
pub(super) fn cost(usage: Usage, cost: NanoUsd, provider: &str, model: &str) -> CostInfo {
    let llm_cost = LlmCost {
        total_tokens: count(usage.total()),
        input_tokens: count(usage.input + usage.cache_read + usage.cache_write),
        output_tokens: count(usage.output),
        cost_usd: cost.as_dollars(),
        model: model.to_owned(),
        provider: provider.to_owned(),
        cache_read_input_tokens: count(usage.cache_read),
        cache_creation_input_tokens: count(usage.cache_write),
    };
    CostInfo { total_cost_usd: cost.as_dollars(), llm_cost: Some(llm_cost), ..CostInfo::default() }
}
