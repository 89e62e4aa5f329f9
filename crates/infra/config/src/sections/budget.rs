//! What all turns of the server may use together.

use std::time::Duration;

use crate::choice::choice;
use crate::key::{optional, range, section};

/// A million dollars: nobody means more.
const MOST_USD: f64 = 1e6;
/// More than a million models write in a year.
const MOST_TOKENS: u64 = 1_000_000_000_000_000;
/// More calls than a server makes.
const MOST_CALLS: u64 = 1_000_000_000_000;
/// About three hundred years.
const MOST_SECONDS: u64 = 10_000_000_000;

choice! {
    /// How long a budget lasts.
    Per {
        /// A day, by UTC.
        Day = "day",
        /// A calendar month, by UTC.
        Month = "month",
        /// For ever.
        Total = "total",
    }
}

choice! {
    /// What happens when the worst case of a model call does not fit.
    OnExceeded {
        /// The turn ends.
        Stop = "stop",
        /// The answer may be as long as still fits.
        Degrade = "degrade",
        /// Someone is asked whether the turn may go on beyond it.
        Ask = "ask",
    }
}

section! {
    /// What all turns of all agents may use together.
    ServerBudget at "budgets.server." {
        /// Money that model calls may cost, in dollars, up to 1000000. A turn whose model has no known price is refused
        /// then. Unset: as much as there is.
        usd: Option<f64> = None, check optional(range(0.0, MOST_USD)), example "12.5";
        /// Tokens that models may read and write. Unset: as many as there are.
        tokens: Option<u64> = None, check optional(range(0, MOST_TOKENS)), example "1000000";
        /// Tool calls that may be made. Unset: as many as there are.
        tool_calls: Option<u64> = None, check optional(range(0, MOST_CALLS)), example "1000";
        /// Time that turns may work, added up, in seconds; waiting for people is not work. Unset: as much as there is.
        seconds: Option<u64> = None, check optional(range(0, MOST_SECONDS)), example "36000";
        /// How long the budget lasts; then it begins anew.
        per: Per = Per::Month, example "day";
        /// What happens when a model call might use more than is left: `stop` ends the turn, `degrade` lets the answer be as
        /// long as still fits, `ask` asks someone whether this turn may go on beyond it.
        on_exceeded: OnExceeded = OnExceeded::Stop, example "degrade";
    }
}

impl ServerBudget {
    /// The money, in nano-dollars.
    #[expect(clippy::cast_possible_truncation, reason = "it was checked to be a million dollars at most")]
    pub fn nano_usd(&self) -> Option<i64> {
        self.usd.map(|usd| (usd * 1e9).round() as i64)
    }

    /// Whether it bounds anything.
    pub const fn is_bounded(&self) -> bool {
        self.bounds_calls() || self.seconds.is_some()
    }

    /// Whether a model call can be too much for it, rather than only the time that turns work.
    pub const fn bounds_calls(&self) -> bool {
        self.usd.is_some() || self.tokens.is_some() || self.tool_calls.is_some()
    }

    /// The time.
    pub fn time(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}
