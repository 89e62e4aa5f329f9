//! One tool call of an answer and what becomes of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use loom_base::{CallId, Digest, Timestamp};
use loom_tools::EffectClass;

/// A call as it arrives with an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The model's name for it, unique in the answer.
    pub id: CallId,
    /// The tool it names, existing or not.
    pub tool: Arc<str>,
    /// What carrying it out means.
    pub kind: CallKind,
    /// What it does to the world.
    pub class: EffectClass,
    /// What policy says of it.
    pub verdict: Verdict,
    /// The digest of its canonical arguments.
    pub arguments: Digest,
}

/// What carrying out a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A tool is run.
    Tool,
    /// The user is asked.
    Question,
    /// Another agent works on it.
    Delegation,
    /// A budget is raised, or the turn let past it. Loom asks for it, not the model, which is told nothing.
    Raise,
}

/// What policy says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may go ahead.
    Allow,
    /// Someone must approve it.
    Ask,
    /// It may not go ahead: no such tool, arguments that do not fit, or a policy against it.
    Deny,
}

/// A call of the answer that is being worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What was asked.
    pub request: CallRequest,
    /// How far it is.
    pub state: CallState,
    /// When its approval is of no use any more, for a call that needs one.
    pub approval_expires_at: Option<Timestamp>,
}

/// How far a call is. Effects are named by their number within the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It waits for a free slot.
    Pending,
    /// It waits for an approval.
    AwaitingApproval(u32),
    /// It waits for the user's answer.
    AwaitingAnswer(u32),
    /// It runs.
    Dispatched(u32),
    /// Another agent works on it.
    Delegated(u32),
    /// Nobody knows whether it happened; someone must say.
    AwaitingResolution(u32),
    /// It has its one result.
    Done(CallOutcome),
}

/// The one result of a call. Its content is stored beside the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It did what was asked.
    Succeeded,
    /// It failed.
    Failed,
    /// Policy or a person refused it.
    Denied,
    /// A limit of the turn refused it; it never started.
    OverLimit,
    /// The turn ended before or while it ran; by its effect class that is harmless.
    Cancelled,
    /// It was cut off and may have happened.
    Unknown,
}

impl CallState {
    /// The effect that is out for this call.
    pub const fn effect(self) -> Option<u32> {
        match self {
            Self::AwaitingApproval(number)
            | Self::AwaitingAnswer(number)
            | Self::Dispatched(number)
            | Self::Delegated(number)
            | Self::AwaitingResolution(number) => Some(number),
            Self::Pending | Self::Done(_) => None,
        }
    }

    /// Whether the call takes one of the parallel slots.
    pub(crate) const fn takes_slot(self) -> bool {
        matches!(self, Self::Dispatched(_) | Self::Delegated(_))
    }
}

impl Call {
    /// What the call becomes when the turn ends under it.
    pub(crate) fn outcome_when_cut(&self) -> CallOutcome {
        match self.state {
            CallState::Done(outcome) => outcome,
            CallState::AwaitingResolution(_) => CallOutcome::Unknown,
            CallState::Dispatched(_) | CallState::Delegated(_)
                if self.request.class == EffectClass::Unsafe =>
            {
                CallOutcome::Unknown
            }
            _ => CallOutcome::Cancelled,
        }
    }
}
