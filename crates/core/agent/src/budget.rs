//! Budgets: what turns may use together, and what happens when a model call might use more than is left.
//!
//! The worst that a call can use is reserved before it is made, and what it did use is settled after it. So a budget is
//! never exceeded by more than a provider counts beyond the worst case that was estimated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_base::{NanoUsd, Timestamp};
use loom_llm::{Prices, Usage};

use crate::Spent;

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Money, in nano-dollars.
    Cost,
    /// Tokens read and written.
    Tokens,
    /// Tool calls.
    ToolCalls,
    /// Time that turns work, in microseconds; waiting for people is not work.
    Time,
}

impl Measure {
    /// All of them, in the order of [`Amounts`].
    pub const ALL: [Self; 4] = [Self::Cost, Self::Tokens, Self::ToolCalls, Self::Time];

    /// The name by which people set it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "usd",
            Self::Tokens => "tokens",
            Self::ToolCalls => "tool_calls",
            Self::Time => "seconds",
        }
    }

    /// An amount of it, for people to read.
    pub fn show(self, amount: u64) -> String {
        let nanos = || i64::try_from(amount).unwrap_or(i64::MAX);
        match self {
            Self::Cost => format!("${:.6}", NanoUsd::from_nanos(nanos()).as_dollars()),
            Self::Tokens => format!("{amount} tokens"),
            Self::ToolCalls => format!("{amount} tool calls"),
            Self::Time => format!("{} s", Duration::from_micros(amount).as_secs()),
        }
    }
}

/// An amount of each [`Measure`], in its order and units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amounts(pub [u64; 4]);

impl Amounts {
    /// How much of `measure`.
    pub const fn of(&self, measure: Measure) -> u64 {
        self.0[measure as usize]
    }

    /// Changes how much of `measure`.
    pub const fn set(&mut self, measure: Measure, amount: u64) {
        self.0[measure as usize] = amount;
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left of this after `other`; never less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|place| combine(self.0[place], other.0[place])))
    }
}

impl From<&Spent> for Amounts {
    fn from(spent: &Spent) -> Self {
        Self([nanos(spent.cost), spent.usage.total(), u64::from(spent.tool_calls), micros(spent.worked)])
    }
}

/// Whose turns a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// One turn.
    Turn,
    /// All turns of a session.
    Session,
    /// All turns of an agent.
    Agent,
    /// All turns.
    Server,
}

impl BudgetScope {
    /// Its name as it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Server => "server",
        }
    }
}

/// What happens when the worst case of a model call does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceeded {
    /// The turn ends, and says which budget ended it.
    #[default]
    Stop,
    /// The answer may be as long as still fits; the turn ends only when hardly anything does.
    Degrade,
    /// Someone is asked: to raise a turn's own budget by as much again, or to let the turn go on beyond one that it shares.
    Ask,
}

impl OnExceeded {
    /// Its name in files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Degrade => "degrade",
            Self::Ask => "ask",
        }
    }
}

/// How long a budget lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day, by UTC.
    Day,
    /// A calendar month, by UTC.
    Month,
    /// For ever.
    #[default]
    Total,
}

/// Days since the Unix epoch, by UTC: from the first to the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first day.
    pub from: i64,
    /// The day after the last.
    pub until: i64,
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

impl Period {
    /// Its name in files and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The period that `at` is in.
    pub fn window(self, at: Timestamp) -> Window {
        let day = at.as_micros().div_euclid(MICROS_PER_DAY);
        match self {
            Self::Day => Window { from: day, until: day + 1 },
            Self::Month => {
                let (year, month) = year_and_month(day);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Window { from: first_day(year, month), until: first_day(next.0, next.1) }
            }
            Self::Total => Window { from: i64::MIN / MICROS_PER_DAY, until: i64::MAX / MICROS_PER_DAY },
        }
    }
}

impl Window {
    /// The moments it lasts, in microseconds since the Unix epoch: from the first to the one after the last.
    pub const fn micros(self) -> (i64, i64) {
        (self.from.saturating_mul(MICROS_PER_DAY), self.until.saturating_mul(MICROS_PER_DAY))
    }
}

/// The civil calendar after Howard Hinnant, "chrono-compatible low-level date algorithms": years that begin in March.
fn year_and_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

fn first_day(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// What turns may use together. A measure that is not given is not bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Money.
    pub cost: Option<NanoUsd>,
    /// Tokens read and written.
    pub tokens: Option<u64>,
    /// Tool calls.
    pub tool_calls: Option<u64>,
    /// Time that turns work.
    pub time: Option<Duration>,
    /// How long it lasts; then it begins anew.
    pub period: Period,
    /// What happens when a call does not fit.
    pub on_exceeded: OnExceeded,
}

impl Budget {
    /// Whether it bounds nothing.
    pub fn is_unbounded(&self) -> bool {
        self.limits() == Ceiling::default()
    }

    /// Whether a model call can be too much for it, rather than only the time that turns work.
    pub const fn bounds_calls(&self) -> bool {
        self.cost.is_some() || self.tokens.is_some() || self.tool_calls.is_some()
    }

    /// Its bounds.
    pub fn limits(&self) -> Ceiling {
        Ceiling([self.cost.map(nanos), self.tokens, self.tool_calls, self.time.map(micros)])
    }
}

/// The most of each [`Measure`], in its order and units; `None` for as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling(pub [Option<u64>; 4]);

impl Ceiling {
    /// The most of `measure`.
    pub const fn of(&self, measure: Measure) -> Option<u64> {
        self.0[measure as usize]
    }

    /// What is left below it after `used`.
    #[must_use]
    pub fn after(self, used: Amounts) -> Self {
        Self(std::array::from_fn(|place| self.0[place].map(|most| most.saturating_sub(used.0[place]))))
    }

    /// A measure of which `wanted` is more than it.
    pub fn exceeded_by(&self, wanted: Amounts) -> Option<Measure> {
        Measure::ALL
            .into_iter()
            .find(|measure| self.of(*measure).is_some_and(|most| wanted.of(*measure) > most))
    }
}

/// What a turn holds back for what it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reserved {
    /// Tokens that the model call in flight reads, about.
    pub input: u64,
    /// Tokens that it writes at most.
    pub output: u64,
    /// What it costs at most.
    pub cost: NanoUsd,
    /// Tool calls that its answer may make.
    pub tool_calls: u32,
    /// Microseconds that the turn may work.
    pub time: u64,
}

impl Reserved {
    /// The tokens of the call.
    pub fn usage(&self) -> Usage {
        Usage { input: self.input, output: self.output, ..Usage::default() }
    }

    /// Whether a model call is in flight.
    pub const fn is_call(&self) -> bool {
        self.input > 0 || self.output > 0
    }

    /// The same without the model call.
    #[must_use]
    pub fn without_call(self) -> Self {
        Self { time: self.time, ..Self::default() }
    }

    /// What the model call is counted as while it is in flight.
    pub fn call_amounts(&self) -> Amounts {
        let tokens = self.input.saturating_add(self.output);
        Amounts([nanos(self.cost), tokens, u64::from(self.tool_calls), 0])
    }
}

/// A model call that is about to be made, and what it may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// Tokens that it reads, about.
    pub input: u64,
    /// Tokens that it may write.
    pub output: u32,
    /// Tool calls that its answer may make.
    pub tool_calls: u32,
    /// Prices; without them it counts as free.
    pub prices: Option<Prices>,
}

/// An answer shorter than this is of no use to anybody.
const LEAST_OUTPUT: u32 = 64;
/// Three counts are rounded up apart when a call is settled, and together when it is reserved.
const ROUNDING: NanoUsd = NanoUsd::from_nanos(2);

impl ModelCall {
    /// What it uses at most. All it reads is priced as the dearest way of reading, which writing to a cache may be.
    pub fn worst_case(&self) -> Reserved {
        let output = u64::from(self.output);
        let cost = self.input_cost()
            + self.prices.map_or(NanoUsd::ZERO, |prices| NanoUsd::for_tokens(prices.output, output));
        Reserved { input: self.input, output, cost, tool_calls: self.tool_calls, time: 0 }
    }

    fn input_cost(&self) -> NanoUsd {
        self.prices.map_or(NanoUsd::ZERO, |prices| {
            let dearest = prices.input.max(prices.cache_read).max(prices.cache_write);
            let cost = NanoUsd::for_tokens(dearest, self.input);
            if cost == NanoUsd::ZERO { cost } else { cost + ROUNDING }
        })
    }

    /// The call cut to what is `left`, as far as `policy` allows; or the measure that it does not fit.
    ///
    /// Tool calls are cut under every policy: those beyond are refused one by one. When none is left, only
    /// [`OnExceeded::Degrade`] lets the model answer without.
    pub fn within(self, left: &Ceiling, policy: OnExceeded) -> Result<Self, Measure> {
        let calls_left = left.of(Measure::ToolCalls).map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        if self.tool_calls > 0 && calls_left == Some(0) && policy != OnExceeded::Degrade {
            return Err(Measure::ToolCalls);
        }
        let call = Self { tool_calls: self.tool_calls.min(calls_left.unwrap_or(u32::MAX)), ..self };
        let Some(short) = left.exceeded_by(call.worst_case().call_amounts()) else { return Ok(call) };
        let output = call.output_that_fits(left);
        if policy != OnExceeded::Degrade || output < LEAST_OUTPUT.min(self.output) {
            return Err(short);
        }
        Ok(Self { output: output.min(self.output), ..call })
    }

    fn output_that_fits(&self, left: &Ceiling) -> u32 {
        let by_tokens = left.of(Measure::Tokens).map(|left| left.saturating_sub(self.input));
        let by_cost = left.of(Measure::Cost).zip(self.prices).map(|(left, prices)| {
            let left = left.saturating_sub(nanos(self.input_cost()));
            (u128::from(left) * 1_000_000)
                .checked_div(u128::from(nanos(prices.output)))
                .map_or(u64::MAX, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
        });
        let most = by_tokens.into_iter().chain(by_cost).min().unwrap_or(u64::MAX);
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

fn nanos(cost: NanoUsd) -> u64 {
    u64::try_from(cost.as_nanos()).unwrap_or(0)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i64, month: i64, day: i64) -> i64 {
        first_day(year, month) + day - 1
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        assert_eq!((day(1970, 1, 1), day(1970, 3, 1), day(2000, 3, 1)), (0, 59, 11_017));
        let at = |day: i64| Timestamp::from_micros(day * MICROS_PER_DAY + 1);
        for (year, month, last) in [(2024, 2, 29), (2023, 2, 28), (2026, 12, 31), (1969, 12, 31)] {
            let window = Period::Month.window(at(day(year, month, last)));
            assert_eq!((window.from, window.until), (day(year, month, 1), day(year, month, last) + 1));
        }
        let yesterday = Period::Day.window(Timestamp::from_micros(-1));
        assert_eq!(yesterday, Window { from: -1, until: 0 });
        let (from, until) = Period::Total.window(at(0)).micros();
        assert!(from < i64::MIN + MICROS_PER_DAY && until > i64::MAX - MICROS_PER_DAY);
    }

    #[test]
    fn what_is_left_decides_how_long_an_answer_may_be() {
        let cents = |cents: i64| NanoUsd::from_nanos(cents * 10_000_000);
        let prices = Prices { input: cents(100), output: cents(200), ..Prices::default() };
        let call = ModelCall { input: 1_000, output: 4_000, tool_calls: 10, prices: Some(prices) };
        let worst = call.worst_case();
        assert_eq!(worst.cost, NanoUsd::from_nanos(1_000_000 + 8_000_000 + 2));
        let left = |nanos| Ceiling([Some(nanos), None, None, None]);
        assert_eq!(call.within(&left(9_000_002), OnExceeded::Stop), Ok(call));
        assert_eq!(call.within(&left(9_000_001), OnExceeded::Stop), Err(Measure::Cost));
        let shorter = call.within(&left(2_000_002), OnExceeded::Degrade).unwrap();
        assert_eq!(shorter.output, 500);
        assert_eq!(call.within(&left(1_000_100), OnExceeded::Degrade), Err(Measure::Cost));
        let tokens = Ceiling([None, Some(1_200), None, None]);
        assert_eq!(call.within(&tokens, OnExceeded::Degrade).unwrap().output, 200);
        let few = Ceiling([None, None, Some(3), None]);
        assert_eq!(call.within(&few, OnExceeded::Stop).unwrap().tool_calls, 3);
        let none = Ceiling([None, None, Some(0), None]);
        assert_eq!(call.within(&none, OnExceeded::Stop), Err(Measure::ToolCalls));
        assert_eq!(call.within(&none, OnExceeded::Degrade).unwrap().tool_calls, 0);
    }
}
