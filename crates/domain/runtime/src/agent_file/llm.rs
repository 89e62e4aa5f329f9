//! The keys of `llm`: which model answers, and how.

use std::ops::RangeInclusive;

use loom_llm::Sampling;

use super::fields::{Section, Unbuilt};
use super::value::Value;
use crate::LlmChoice;

/// Counts in a file: what the API can show, an `int32`.
pub(super) const COUNT: RangeInclusive<u32> = 1..=2_147_483_647;
/// Temperatures that some provider takes.
const TEMPERATURE: RangeInclusive<f32> = 0.0..=2.0;
/// Shares of probability.
const SHARE: RangeInclusive<f32> = 0.0..=1.0;

/// Keys of `llm` without a feature.
pub(super) const UNBUILT: &[Unbuilt] = &[Unbuilt::new(
    "rate_limit",
    "remove it; `server.behavior.max_concurrent_requests` limits the whole server",
)];

/// Reads `llm` and the key `active_provider` beside it.
pub(super) fn read(llm: Option<&Value<'_>>, active: Option<&Value<'_>>) -> LlmChoice {
    let mut choice = llm.and_then(|value| value.section(UNBUILT, keys)).unwrap_or_default();
    if let Some(active) = active
        && let Some(name) = active.given_text()
    {
        match &choice.provider {
            Some(provider) if *provider != name => {
                active.invalid(format_args!("and `llm.provider` name different providers; keep one"));
            }
            _ => choice.provider = Some(name),
        }
    }
    choice
}

fn keys(section: &mut Section<'_>) -> LlmChoice {
    let count = |value: Value<'_>| value.count(&COUNT);
    let reserved = section.value("reserved_output_tokens");
    let choice = LlmChoice {
        provider: section.value("provider").and_then(|value| value.given_text()),
        model: section.value("model").and_then(|value| value.given_text()),
        sampling: Sampling {
            temperature: section.value("temperature").and_then(|value| value.number(&TEMPERATURE)),
            top_p: section.value("top_p").and_then(|value| value.number(&SHARE)),
            top_k: section.value("top_k").and_then(count),
            stop_sequences: section
                .value("stop_sequences")
                .and_then(|value| value.texts())
                .unwrap_or_default(),
        },
        max_tokens: section.value("max_tokens").and_then(count),
        max_context_tokens: section.value("max_context_tokens").and_then(count).map(u64::from),
        reserved_output_tokens: reserved.as_ref().and_then(|value| value.count(&COUNT)).map(u64::from),
    };
    if let (Some(value), Some(kept), Some(window)) =
        (reserved, choice.reserved_output_tokens, choice.max_context_tokens)
        && kept >= window
    {
        value.invalid(format_args!("leaves no room: it is {kept} of the {window} in `max_context_tokens`"));
    }
    choice
}
