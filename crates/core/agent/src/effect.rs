//! What the machine asks the world to do, and how a turn ends.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_base::{CallId, EffectId, ErrorCode, MessageId, Timestamp};
use loom_llm::FinishReason;

use crate::{BudgetScope, HookEntry, HookPoint, Measure};

/// Something to be done. Each with an [`EffectId`] is answered by exactly one event or one [`Effect::Cancel`].
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the model. Answered by `LlmDone` or `LlmFailed`.
    CallLlm {
        /// Its id.
        effect: EffectId,
        /// The attempt at this answer, from 1.
        attempt: u32,
    },
    /// Run a tool. Answered by `ToolDone` or `ToolUnknown`.
    RunTool {
        /// Its id.
        effect: EffectId,
        /// The call to run.
        call: CallId,
    },
    /// Run a hook. Answered by `HookDone`.
    RunHook {
        /// Its id.
        effect: EffectId,
        /// Where.
        point: HookPoint,
        /// Which.
        hook: HookEntry,
    },
    /// Come back after a wait. Answered by `TimerFired`.
    StartTimer {
        /// Its id.
        effect: EffectId,
        /// How long, from the event's time.
        delay: Duration,
    },
    /// Ask someone to approve a call. Answered by `Approved` or `Denied`.
    RequestApproval {
        /// Its id.
        effect: EffectId,
        /// The call.
        call: CallId,
        /// When an approval comes too late.
        expires_at: Timestamp,
    },
    /// Put a call's question to the user. Answered by `Answered`.
    AskUser {
        /// Its id.
        effect: EffectId,
        /// The call.
        call: CallId,
    },
    /// Hand a call to another agent. Answered by `DelegateDone`.
    Delegate {
        /// Its id.
        effect: EffectId,
        /// The call.
        call: CallId,
    },
    /// Make room in the context. Answered by `CompactDone`.
    Compact {
        /// Its id.
        effect: EffectId,
    },
    /// Stop an effect. Its answer, if one still comes, only settles what it used.
    Cancel {
        /// The effect to stop.
        effect: EffectId,
    },
    /// A call has its one result. Nothing to answer.
    Settled {
        /// The call.
        call: CallId,
    },
    /// The turn is over. Nothing to answer.
    Finish(Outcome),
}

impl Effect {
    /// The id under which the effect will be answered, when it needs an answer.
    pub const fn opens(&self) -> Option<EffectId> {
        match self {
            Self::CallLlm { effect, .. }
            | Self::RunTool { effect, .. }
            | Self::RunHook { effect, .. }
            | Self::StartTimer { effect, .. }
            | Self::RequestApproval { effect, .. }
            | Self::AskUser { effect, .. }
            | Self::Delegate { effect, .. }
            | Self::Compact { effect } => Some(*effect),
            Self::Cancel { .. } | Self::Settled { .. } | Self::Finish(_) => None,
        }
    }
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Finished {
        /// The message that holds it.
        message: MessageId,
        /// Why the model stopped.
        finish: FinishReason,
    },
    /// Without one.
    Failed(Failure),
    /// Someone cancelled it.
    Cancelled,
}

/// Why a turn has no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// A limit was reached.
    Limit {
        /// Which.
        limit: Limit,
    },
    /// It waited for others and could not begin.
    NotBegun {
        /// The stable code of the error.
        #[serde(with = "code_as_text")]
        code: ErrorCode,
        /// What is wrong.
        message: Arc<str>,
    },
    /// The model could not be asked.
    Llm {
        /// The stable code of its error.
        #[serde(with = "code_as_text")]
        code: ErrorCode,
        /// What the provider said.
        message: String,
        /// How long the provider asks to wait. Journals of before it was kept have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// A hook refused to go on, or failed closed.
    Hook {
        /// Where.
        point: HookPoint,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hook: Option<Arc<str>>,
        /// Its reason, or what went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// A model call might have used more than a budget has left.
    Budget {
        /// Whose.
        scope: BudgetScope,
        /// Of what.
        measure: Measure,
    },
}

/// A limit of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Answers asked of the model.
    ModelCalls,
    /// Tokens read and written.
    Tokens,
    /// Money spent.
    Cost,
    /// Time.
    Deadline,
}

impl Limit {
    /// The limit's name as it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelCalls => "model_calls",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Deadline => "deadline",
        }
    }
}

pub(crate) mod code_as_text {
    use loom_base::ErrorCode;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(code: &ErrorCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorCode, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("not an error code of this version"))
    }
}
