//! Money as whole nano-dollars, so that sums of tiny model prices stay exact.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// An amount of US dollars in units of 10⁻⁹. Arithmetic saturates: a bill never wraps around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount; the limit of an unlimited budget.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of `nanos` · 10⁻⁹ dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The amount in units of 10⁻⁹ dollars.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The amount in dollars, for people and for the wire's `double` fields.
    #[expect(clippy::cast_precision_loss, reason = "for display: below 9 million dollars it is exact")]
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The price of `tokens` at `per_million` for each million of them, rounded up so that a use is never free by
    /// rounding.
    pub fn for_tokens(per_million: Self, tokens: u64) -> Self {
        let exact = i128::from(per_million.0) * i128::from(tokens);
        let rounded = (exact + 999_999).div_euclid(1_000_000);
        Self(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

impl Add for NanoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for NanoUsd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_price_is_rounded_up() {
        let three_dollars = NanoUsd::from_nanos(3_000_000_000);
        assert_eq!(NanoUsd::for_tokens(three_dollars, 1), NanoUsd::from_nanos(3_000));
        assert_eq!(NanoUsd::for_tokens(NanoUsd::from_nanos(1), 1), NanoUsd::from_nanos(1));
        assert_eq!(NanoUsd::for_tokens(three_dollars, 0), NanoUsd::ZERO);
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(NanoUsd::MAX + NanoUsd::from_nanos(1), NanoUsd::MAX);
    }
}
