//! The `budgets` section: what an agent's turns may use.

use std::ops::RangeInclusive;
use std::time::Duration;

use loom_agent::{Budget, OnExceeded, Period};
use loom_base::NanoUsd;

use super::fields::Section;
use super::value::Value;
use crate::AgentBudgets;

/// A million dollars: nobody means more.
const USD: RangeInclusive<f64> = 0.0..=1e6;
const COUNT: RangeInclusive<u64> = 0..=1_000_000_000_000_000;
/// About three hundred years.
const SECONDS: RangeInclusive<u64> = 0..=10_000_000_000;

pub(super) fn read(value: &Value<'_>) -> Option<AgentBudgets> {
    value.section(&[], |section| AgentBudgets {
        // How many tool calls a turn makes and how long it takes is said under `config`.
        turn: budget(section, "turn", |section| call(section, MayAsk::Yes)),
        session: budget(section, "session", whole),
        agent: budget(section, "agent", |section| Budget { period: period(section), ..whole(section) }),
    })
}

/// Whether someone can be asked to raise a budget.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MayAsk {
    Yes,
    No,
}

fn budget(
    section: &mut Section<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'_>) -> Budget,
) -> Budget {
    section.value(key).and_then(|value| value.section(&[], read)).unwrap_or_default()
}

/// What one model call uses.
fn call(section: &mut Section<'_>, may_ask: MayAsk) -> Budget {
    Budget {
        cost: section.value("usd").and_then(|value| value.number(&USD)).map(dollars),
        tokens: section.value("tokens").and_then(|value| value.number(&COUNT)),
        on_exceeded: section
            .value("on_exceeded")
            .and_then(|value| on_exceeded(&value, may_ask))
            .unwrap_or_default(),
        ..Budget::default()
    }
}

fn whole(section: &mut Section<'_>) -> Budget {
    let seconds = section.value("seconds").and_then(|value| value.number(&SECONDS));
    Budget {
        tool_calls: section.value("tool_calls").and_then(|value| value.number(&COUNT)),
        time: seconds.map(Duration::from_secs),
        ..call(section, MayAsk::No)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is a million dollars at most")]
fn dollars(usd: f64) -> NanoUsd {
    NanoUsd::from_nanos((usd * 1e9).round() as i64)
}

fn period(section: &mut Section<'_>) -> Period {
    let chosen = section.value("per").and_then(|value| {
        let text = value.text()?;
        let found = [Period::Day, Period::Month, Period::Total].into_iter().find(|one| one.as_str() == text);
        if found.is_none() {
            value.invalid("must be `day`, `month` or `total`");
        }
        found
    });
    chosen.unwrap_or(Period::Month)
}

fn on_exceeded(value: &Value<'_>, may_ask: MayAsk) -> Option<OnExceeded> {
    match value.text()?.as_str() {
        "ask" if may_ask == MayAsk::Yes => Some(OnExceeded::Ask),
        "ask" => {
            value.unsupported("only `budgets.turn` can be raised by who is asked; use `stop` or `degrade`");
            None
        }
        "stop" => Some(OnExceeded::Stop),
        "degrade" => Some(OnExceeded::Degrade),
        _ => {
            value.invalid(
                "must be `stop` (the turn ends), `degrade` (the answer may be as long as still fits) or `ask` (someone may \
                 raise it)",
            );
            None
        }
    }
}
