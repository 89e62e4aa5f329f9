//! How a request to the runtime fails.

use std::sync::Arc;
use std::time::Duration;

use loom_agent::{BudgetScope, Failure, Limit, Measure};
use loom_base::ErrorCode;
use loom_llm::LlmError;

/// A failed request: what was wrong and what to do, for the caller to read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The stable code users see.
    pub code: ErrorCode,
    /// What was wrong, where, and what would be right.
    pub message: String,
    /// When another try makes sense, where known.
    pub retry_after: Option<Duration>,
    /// Where the instance listens that holds what was asked for, when another one does. Nothing was done then.
    pub holder: Option<Arc<str>>,
}

impl Error {
    /// An error of `code`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, holder: None }
    }

    /// No agent is called `name`; `known` are.
    pub(crate) fn agent_not_found(name: &str, known: &[String]) -> Self {
        let known = if known.is_empty() {
            "there is none yet: put an agent file into the agents folder, or create one by request".to_owned()
        } else {
            format!("known are {}", known.join(", "))
        };
        Self::new(ErrorCode::AgentNotFound, format!("no agent is called {name:?}; {known}"))
    }

    /// No provider is called `name`; `known` are.
    pub(crate) fn no_such_provider(name: &str, known: &[String]) -> Self {
        let message = format!("no provider is called {name:?}; known: {}", known.join(", "));
        Self::new(ErrorCode::NoProvider, message)
    }

    /// No session has this id.
    pub fn session_not_found(id: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::SessionNotFound, format!("no session has the id {id}"))
    }

    /// No turn has this id.
    pub(crate) fn turn_not_found(id: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::TurnNotFound, format!("no turn has the id {id}"))
    }

    /// No call whose outcome is unknown has this effect.
    pub(crate) fn effect_not_found(effect: loom_base::EffectId) -> Self {
        let message = format!(
            "{effect} is no effect with an unknown outcome; `looms effect list` shows those there are"
        );
        Self::new(ErrorCode::EffectNotFound, message)
    }

    /// The call of `effect` may go on elsewhere for as long as `left`.
    pub(crate) fn effect_may_run(effect: loom_base::EffectId, left: Duration) -> Self {
        let message = format!(
            "the server that had {effect} before may still be at it for {left:?}: say then that it did not happen, if it \
             has not"
        );
        Self { retry_after: Some(left), ..Self::new(ErrorCode::EffectMayRun, message) }
    }

    /// No call that waits for an approval has this effect.
    pub(crate) fn approval_not_found(effect: loom_base::EffectId) -> Self {
        let message =
            format!("{effect} does not wait for an approval; `looms approval list` shows what does");
        Self::new(ErrorCode::ApprovalNotFound, message)
    }

    /// No question that waits for an answer has this effect.
    pub(crate) fn question_not_found(question: loom_base::EffectId) -> Self {
        let message = format!("{question} is no question that waits for an answer");
        Self::new(ErrorCode::QuestionNotFound, message)
    }

    /// The record of what became of `effect` could not be made.
    pub(crate) fn of_resolution(effect: loom_base::EffectId, error: loom_store::Error) -> Self {
        match error {
            loom_store::Error::Missing { .. } => Self::effect_not_found(effect),
            loom_store::Error::Conflict { .. } => {
                let message = format!("someone said before what became of {effect}");
                Self::new(ErrorCode::EffectResolved, message)
            }
            other => other.into(),
        }
    }

    /// The turn was taken up several times and got no further.
    pub(crate) fn quarantined(turn: loom_base::TurnId) -> Self {
        let message = format!(
            "{turn} was taken up several times after a stop and got no further, so its session waits: see \
             `looms trace show {turn}`, then end it with `looms turn cancel {turn}`"
        );
        Self::new(ErrorCode::TurnQuarantined, message)
    }

    /// Another instance, which listens at `address`, holds the session for `remaining` unless it goes on.
    pub(crate) fn session_elsewhere(id: impl std::fmt::Display, address: &str, remaining: Duration) -> Self {
        let holder = if address.is_empty() {
            "another instance".to_owned()
        } else {
            format!("the instance at {address}")
        };
        let message =
            format!("session {id} is held by {holder}; ask there, or here once that one has stopped");
        Self {
            retry_after: Some(remaining),
            holder: Some(address).filter(|address| !address.is_empty()).map(Arc::from),
            ..Self::new(ErrorCode::SessionElsewhere, message)
        }
    }

    /// What is left of a budget does not cover the worst case of the next model call.
    fn over_budget(scope: BudgetScope, measure: Measure) -> Self {
        let (whose, key) = match scope {
            BudgetScope::Turn => ("turn's", "`budgets.turn` of the agent"),
            BudgetScope::Session => ("session's", "`budgets.session` of the agent"),
            BudgetScope::Agent => ("agent's", "`budgets.agent` of the agent"),
            BudgetScope::Server => ("server's", "`budgets.server` of the configuration"),
        };
        let message = format!(
            "what is left of the {whose} budget of {} does not cover what the next model call may use: raise {key}, or \
             wait until it begins anew; `looms budget list` shows what is used",
            measure.as_str()
        );
        Self::new(ErrorCode::BudgetExceeded, message)
    }

    /// Money is counted, and nobody knows what the model costs.
    pub(crate) fn unpriced(provider: &str, model: &str) -> Self {
        let message = format!(
            "a budget of money holds for this turn, and the price of {provider}/{model} is not known: count `tokens` \
             instead of `usd`, or use a model whose price is known"
        );
        Self::new(ErrorCode::BudgetUnpriced, message)
    }

    /// The error of a turn that has no answer.
    pub(crate) fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::Limit { limit } => Self::new(
                match limit {
                    Limit::Deadline => ErrorCode::DeadlineExceeded,
                    Limit::Cost | Limit::Tokens => ErrorCode::BudgetExceeded,
                    Limit::ModelCalls => ErrorCode::TurnLimit,
                },
                format!("the turn reached its limit of {} before it had an answer", limit.as_str()),
            ),
            Failure::NotBegun { code, message } => Self::new(*code, message.to_string()),
            Failure::Llm { code, message, retry_after } => {
                Self { retry_after: *retry_after, ..Self::new(*code, message.clone()) }
            }
            Failure::Hook { point, hook, reason } => {
                let (hook, reason) =
                    (hook.as_deref().unwrap_or("?"), reason.as_deref().unwrap_or("no reason"));
                let message = format!("the hook {hook:?} ended the turn at {}: {reason}", point.as_str());
                Self::new(ErrorCode::HookDenied, message)
            }
            Failure::Budget { scope, measure } => Self::over_budget(*scope, *measure),
        }
    }
}

/// A defect of the driver.
impl From<loom_agent::ProtocolError> for Error {
    fn from(error: loom_agent::ProtocolError) -> Self {
        Self::new(ErrorCode::Internal, format!("the turn machine refused an event: {error}"))
    }
}

impl From<loom_store::Error> for Error {
    fn from(error: loom_store::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<LlmError> for Error {
    fn from(error: LlmError) -> Self {
        Self { retry_after: error.retry_after, ..Self::new(error.class.code(), error.to_string()) }
    }
}
