//! What happens to a turn.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_base::{ErrorCode, MessageId, NanoUsd, Timestamp};
use loom_llm::{FinishReason, Usage};

use crate::{BudgetScope, CallRequest, HookSaid, Measure};

/// Something that happened, and when. Effects are named by their number within the turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event of `kind` at `at`.
    pub const fn new(at: Timestamp, kind: EventKind) -> Self {
        Self { at, kind }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The message that the turn is to answer.
    UserMessage {
        /// Its id.
        message: MessageId,
    },
    /// The model answered.
    LlmDone {
        /// The call.
        effect: u32,
        /// The stored answer.
        message: MessageId,
        /// Why it stopped.
        finish: FinishReason,
        /// What it used.
        usage: Usage,
        /// Whether the provider did not say what it used. Journals of before this was kept say nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        estimated: bool,
        /// What that costs.
        cost: NanoUsd,
        /// The tool calls in it, in order.
        calls: Vec<CallRequest>,
        /// How many of them the budgets beyond the turn's own leave room for; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calls_granted: Option<u32>,
    },
    /// A stop cut the model call off, once or several times, and it is made again. Nobody said what it used, so it is taken
    /// to have used what was reserved.
    LlmLost {
        /// The call, which goes on under this number.
        effect: u32,
        /// How often.
        times: u32,
        /// What was reserved each time.
        usage: Usage,
        /// What that costs.
        cost: NanoUsd,
    },
    /// The model call failed.
    LlmFailed {
        /// The call.
        effect: u32,
        /// The stable code of the error.
        code: String,
        /// What the provider said.
        message: String,
        /// Whether another attempt may work.
        retryable: bool,
        /// Whether the context was too long for the model.
        too_long: bool,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// What was used all the same.
        usage: Usage,
        /// What that costs.
        cost: NanoUsd,
    },
    /// A tool ended.
    ToolDone {
        /// The run.
        effect: u32,
        /// Whether it did what was asked.
        succeeded: bool,
    },
    /// A tool was cut off, and whether it took effect is not known.
    ToolUnknown {
        /// The run.
        effect: u32,
    },
    /// Someone said what became of an unknown call.
    EffectResolved {
        /// The run.
        effect: u32,
        /// What became of it.
        resolution: Resolution,
        /// Who said so.
        by: Arc<str>,
    },
    /// A hook ended.
    HookDone {
        /// The run.
        effect: u32,
        /// Whether the turn may go on.
        proceed: bool,
        /// What it said, where it did more than let the turn go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<HookSaid>,
    },
    /// A wait is over.
    TimerFired {
        /// The timer.
        effect: u32,
    },
    /// A call was approved.
    Approved {
        /// The request.
        effect: u32,
        /// Who approved it.
        by: Arc<str>,
    },
    /// A call was refused, or nobody said anything in time.
    Denied {
        /// The request.
        effect: u32,
        /// Who refused it; `None` when its time ran out.
        by: Option<Arc<str>>,
        /// Why, in their words, for the model to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// The user answered a question.
    Answered {
        /// The question.
        effect: u32,
    },
    /// Another agent finished its part.
    DelegateDone {
        /// The delegation.
        effect: u32,
        /// Whether it did what was asked.
        succeeded: bool,
        /// What it used.
        usage: Usage,
        /// What that costs.
        cost: NanoUsd,
    },
    /// Room was made in the context, or none could be.
    CompactDone {
        /// The compaction.
        effect: u32,
        /// Whether anything left the context.
        freed: bool,
    },
    /// Someone wants the turn to stop.
    CancelRequested,
    /// The turn, which waited for others, cannot begin.
    NotBegun {
        /// The stable code of the error.
        #[serde(with = "crate::effect::code_as_text")]
        code: ErrorCode,
        /// What is wrong.
        message: Arc<str>,
    },
    /// The model call was not made: it might have used more than a budget has left.
    BudgetExceeded {
        /// The call.
        effect: u32,
        /// Whose budget.
        scope: BudgetScope,
        /// Of what.
        measure: Measure,
        /// What someone is asked for, where policy says so; without it the turn ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raise: Option<Box<RaiseRequest>>,
    },
}

/// A request to raise the turn's budget, or to let it past another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaiseRequest {
    /// The message that it is stored with: the latest one.
    pub message: MessageId,
    /// It is stored, asked and settled as a call.
    pub call: CallRequest,
}

/// What became of a call whose outcome was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It happened; its result is stored.
    Happened,
    /// It did not; it is run again.
    DidNotHappen,
    /// Nobody will know; the model is told so.
    GiveUp,
}

impl EventKind {
    /// The effect that this event answers.
    pub const fn effect(&self) -> Option<u32> {
        match self {
            Self::LlmDone { effect, .. }
            | Self::LlmFailed { effect, .. }
            | Self::LlmLost { effect, .. }
            | Self::BudgetExceeded { effect, .. }
            | Self::ToolDone { effect, .. }
            | Self::ToolUnknown { effect }
            | Self::EffectResolved { effect, .. }
            | Self::HookDone { effect, .. }
            | Self::TimerFired { effect }
            | Self::Approved { effect, .. }
            | Self::Denied { effect, .. }
            | Self::Answered { effect }
            | Self::DelegateDone { effect, .. }
            | Self::CompactDone { effect, .. } => Some(*effect),
            Self::UserMessage { .. } | Self::CancelRequested | Self::NotBegun { .. } => None,
        }
    }

    /// What model calls that were cut off are taken to have used; nothing for another event.
    pub fn lost(&self) -> (Usage, NanoUsd) {
        let Self::LlmLost { times, usage, cost, .. } = self else {
            return (Usage::default(), NanoUsd::ZERO);
        };
        let times = u64::from(*times);
        let usage = Usage {
            input: usage.input.saturating_mul(times),
            output: usage.output.saturating_mul(times),
            cache_read: usage.cache_read.saturating_mul(times),
            cache_write: usage.cache_write.saturating_mul(times),
        };
        let nanos = cost.as_nanos().saturating_mul(i64::try_from(times).unwrap_or(i64::MAX));
        (usage, NanoUsd::from_nanos(nanos))
    }

    /// What the event that answers an effect says was used, and whether that is an estimate.
    pub(crate) fn used(&self) -> Option<(Usage, NanoUsd, bool)> {
        match self {
            Self::LlmDone { usage, cost, estimated, .. } => Some((*usage, *cost, *estimated)),
            Self::LlmFailed { usage, cost, .. } | Self::DelegateDone { usage, cost, .. } => {
                Some((*usage, *cost, false))
            }
            _ => None,
        }
    }
}
