//! What bounds a turn. Fixed when the turn is accepted, so that a reload in the middle changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_base::{Deadline, EffectId, NanoUsd};

use crate::{Hooks, OnExceeded};

/// Everything a turn is run by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnConfig {
    /// When to stop.
    pub limits: Limits,
    /// How long to wait between attempts at a model call.
    pub backoff: Backoff,
    /// What to do about a call whose outcome nobody knows.
    pub on_unknown: OnUnknown,
    /// How long an approval may be given, and then used.
    pub approval_time: ApprovalTime,
    /// The hooks that run, and where.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// What happens when a model call might use more tokens or money than the limits leave.
    #[serde(skip_serializing_if = "is_default")]
    pub on_exceeded: OnExceeded,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// When a turn stops for want of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Answers asked of the model.
    pub model_calls: u32,
    /// Tool calls run over the whole turn.
    pub tool_calls: u32,
    /// Tool calls run of one answer; the rest are refused.
    pub calls_per_answer: u32,
    /// Tool calls running at once.
    pub parallel_calls: u32,
    /// Attempts at one answer.
    pub attempts: u32,
    /// Tokens read and written over the whole turn.
    pub tokens: Option<u64>,
    /// Money spent over the whole turn.
    pub cost: Option<NanoUsd>,
    /// Time the turn may work. Waiting for people is not work.
    pub time: Option<Duration>,
    /// When it is too late, whatever it waits for.
    pub deadline: Option<Deadline>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            model_calls: 25,
            tool_calls: 50,
            calls_per_answer: 10,
            parallel_calls: 8,
            attempts: 3,
            tokens: None,
            cost: None,
            time: None,
            deadline: None,
        }
    }
}

/// How long an approval may be given, and then used: an hour, unless policy says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalTime(pub Duration);

impl Default for ApprovalTime {
    fn default() -> Self {
        Self(Duration::from_hours(1))
    }
}

/// Exponential backoff with jitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait that is not asked for by the provider.
    pub longest: Duration,
    /// The longest wait a provider may ask for; beyond it the turn fails with the provider's error.
    pub longest_asked: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(5),
            longest_asked: Duration::from_mins(1),
        }
    }
}

impl Backoff {
    /// The wait before attempt `attempt` + 1: doubled for each attempt, then between half and all of it. The jitter is
    /// a hash of the failed effect, so that a replay waits the same.
    pub(crate) fn delay(&self, attempt: u32, effect: EffectId) -> Duration {
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let half = doubled.min(self.longest) / 2;
        half + half.mul_f64(unit_fraction(effect))
    }
}

/// A number in 0..1 that is spread evenly over effect ids (the finaliser of `SplitMix64`).
fn unit_fraction(effect: EffectId) -> f64 {
    let (high, low) = effect.turn.as_uuid().as_u64_pair();
    let mut mixed =
        (high ^ low.rotate_left(32) ^ u64::from(effect.number)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// What to do about a call that may or may not have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Wait until someone says what happened.
    #[default]
    Wait,
    /// Tell the model that the outcome is unknown, and go on.
    Tell,
}
