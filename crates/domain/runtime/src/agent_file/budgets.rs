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
        turn: budget(section, "turn", call),
        session: budget(section, "session", whole),
        agent: budget(section, "agent", |section| Budget { period: period(section), ..whole(section) }),
    })
}

fn budget(
    section: &mut Section<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'_>) -> Budget,
) -> Budget {
    let Some(value) = section.value(key) else { return Budget::default() };
    let budget = value.section(&[], read).unwrap_or_default();
    bounds_something(&value, &budget);
    budget
}

/// Refuses a policy or a period of nothing.
fn bounds_something(value: &Value<'_>, budget: &Budget) {
    if budget.is_unbounded() {
        value.invalid("bounds nothing: give it `usd` or `tokens`, or of a session or an agent `tool_calls` or `seconds`");
    } else if budget.on_exceeded != OnExceeded::Stop && !budget.bounds_calls() {
        value.invalid("has an `on_exceeded` for model calls and no bound for them: give it `usd`, `tokens` or `tool_calls`");
    }
}

/// What one model call uses.
fn call(section: &mut Section<'_>) -> Budget {
    Budget {
        cost: section.value("usd").and_then(|value| value.number(&USD)).map(dollars),
        tokens: section.value("tokens").and_then(|value| value.number(&COUNT)),
        on_exceeded: section.value("on_exceeded").and_then(|value| on_exceeded(&value)).unwrap_or_default(),
        ..Budget::default()
    }
}

fn whole(section: &mut Section<'_>) -> Budget {
    let seconds = section.value("seconds").and_then(|value| value.number(&SECONDS));
    Budget {
        tool_calls: section.value("tool_calls").and_then(|value| value.number(&COUNT)),
        time: seconds.map(Duration::from_secs),
        ..call(section)
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

fn on_exceeded(value: &Value<'_>) -> Option<OnExceeded> {
    match value.text()?.as_str() {
        "ask" => Some(OnExceeded::Ask),
        "stop" => Some(OnExceeded::Stop),
        "degrade" => Some(OnExceeded::Degrade),
        _ => {
            value.invalid(
                "must be `stop` (the turn ends), `degrade` (the answer may be as long as still fits) or `ask` (someone \
                 decides)",
            );
            None
        }
    }
}
