//! The turn: its state, and the model's half of its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_base::{EffectId, ErrorCode, MessageId, NanoUsd, Timestamp, TurnId};
use loom_llm::{FinishReason, Usage};

use crate::working_time::WorkingTime;
use crate::{
    BudgetScope, Call, CallState, Effect, Event, EventKind, Failure, HookPoint, Limit, Measure, OnExceeded,
    Outcome, TurnConfig,
};

/// The version of the rules below. A change of behaviour raises it, and old turns replay under the old rules.
pub const RULES_VERSION: u32 = 1;

/// What a turn is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// No message yet.
    Idle,
    /// The model is asked.
    AwaitingLlm {
        /// The call.
        effect: u32,
        /// The attempt at this answer, from 1.
        attempt: u32,
    },
    /// A failed model call waits for its next attempt.
    AwaitingBackoff {
        /// The timer.
        effect: u32,
        /// The attempt that failed.
        attempt: u32,
    },
    /// The calls of an answer are worked on; see [`Turn::calls`].
    RunningTools,
    /// Room is made in the context.
    Compacting {
        /// The compaction.
        effect: u32,
        /// The attempt that did not fit.
        attempt: u32,
    },
    /// A hook runs.
    RunningHook {
        /// The run.
        effect: u32,
        /// Where.
        point: HookPoint,
        /// Its place among the hooks of that point.
        index: usize,
    },
    /// It is over.
    Over(Outcome),
}

/// What a turn has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens over all model calls, also failed and cancelled ones.
    pub usage: Usage,
    /// What they cost.
    pub cost: NanoUsd,
    /// Answers received.
    pub model_calls: u32,
    /// Tool calls admitted.
    pub tool_calls: u32,
    /// Of the tokens, those that no provider counted: Loom's estimates, or what was reserved for a call that a stop cut off.
    pub estimated_tokens: u64,
    /// Of the cost, that of these tokens.
    pub estimated_cost: NanoUsd,
    /// Time it has worked; waiting for people is not work.
    pub worked: Duration,
}

/// An event that cannot happen in this state: a defect of the driver. The turn is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A second user message.
    #[error("the turn has its message already")]
    AlreadyStarted,
    /// An answer to an effect that was never asked for.
    #[error("effect {effect} was never asked for")]
    UnknownEffect {
        /// The number.
        effect: u32,
    },
    /// An answer of the wrong kind.
    #[error("effect {effect} is not answered by this kind of event")]
    WrongAnswer {
        /// The number.
        effect: u32,
    },
    /// Two calls of one answer have one id.
    #[error("two tool calls of one answer have the same id")]
    DuplicateCall,
}

/// An effect that is out, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Open {
    Llm,
    /// The wait before the next attempt, and when it is over.
    Backoff(Timestamp),
    /// The end of the turn's time, and when that is.
    Deadline(Timestamp),
    Hook,
    Compaction,
    /// Work for the call at this position of [`Turn::calls`].
    Call(usize),
}

/// One turn: a user message and all that is done to answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    id: TurnId,
    rules_version: u32,
    pub(crate) config: TurnConfig,
    pub(crate) state: State,
    pub(crate) calls: Vec<Call>,
    pub(crate) spent: Spent,
    answer: Option<(MessageId, FinishReason)>,
    /// How many calls of the answer the budgets beyond the turn's own leave room for.
    pub(crate) calls_granted: Option<u32>,
    /// How often someone has raised its budget.
    pub(crate) raised: u32,
    /// The budgets beyond its own that someone lets it go past.
    pub(crate) let_past: BTreeSet<BudgetScope>,
    /// Whose raise is waited for: the budget, and the attempt that is made after it.
    pub(crate) raising: Option<(BudgetScope, Measure, u32)>,
    compacted: bool,
    pub(crate) last_effect: u32,
    pub(crate) open: BTreeMap<u32, Open>,
    settling: BTreeSet<u32>,
    /// When the latest event happened.
    pub(crate) now: Timestamp,
    pub(crate) work: WorkingTime,
}

impl Turn {
    /// A turn that waits for its message.
    pub fn new(id: TurnId, config: TurnConfig) -> Self {
        Self {
            id,
            rules_version: RULES_VERSION,
            config,
            state: State::Idle,
            calls: Vec::new(),
            spent: Spent::default(),
            answer: None,
            calls_granted: None,
            raised: 0,
            let_past: BTreeSet::new(),
            raising: None,
            compacted: false,
            last_effect: 0,
            open: BTreeMap::new(),
            settling: BTreeSet::new(),
            now: Timestamp::default(),
            work: WorkingTime::default(),
        }
    }

    /// The turn after `events`, from its beginning.
    pub fn replay<'a>(
        id: TurnId,
        config: TurnConfig,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, ProtocolError> {
        let mut turn = Self::new(id, config);
        for event in events {
            turn.apply(event)?;
        }
        Ok(turn)
    }

    /// Its id.
    pub const fn id(&self) -> TurnId {
        self.id
    }

    /// The version of the rules it runs by.
    pub const fn rules_version(&self) -> u32 {
        self.rules_version
    }

    /// What it is doing.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// How it ended, once it has.
    pub const fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The calls of the latest answer, in the answer's order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What it has used.
    pub const fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The numbers of the effects that are out.
    pub fn outstanding(&self) -> impl Iterator<Item = u32> {
        self.open.keys().copied()
    }

    /// Takes in what happened and says what to do next.
    ///
    /// A late or repeated answer changes nothing but what was [`spent`](Self::spent). On an error the turn is
    /// unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<Effect>, ProtocolError> {
        let before = std::mem::replace(&mut self.now, event.at);
        let was_over = self.outcome().is_some();
        let mut effects = Vec::new();
        let taken = match &event.kind {
            EventKind::UserMessage { .. } => self.start(&mut effects),
            EventKind::CancelRequested => {
                self.end(Outcome::Cancelled, &mut effects);
                Ok(())
            }
            EventKind::NotBegun { .. } if self.state != State::Idle => Err(ProtocolError::AlreadyStarted),
            EventKind::NotBegun { code, message } => {
                let failure = Failure::NotBegun { code: *code, message: Arc::clone(message) };
                self.end(Outcome::Failed(failure), &mut effects);
                Ok(())
            }
            EventKind::LlmLost { effect, .. } => self.lose_call(*effect, &event.kind),
            answer => self.take_answer(answer, &mut effects),
        };
        if let Err(refused) = taken {
            self.now = before;
            return Err(refused);
        }
        self.watch_time(&mut effects);
        if !was_over {
            self.spent.worked = self.worked();
        }
        Ok(effects)
    }

    fn start(&mut self, effects: &mut Vec<Effect>) -> Result<(), ProtocolError> {
        if self.state != State::Idle {
            return Err(ProtocolError::AlreadyStarted);
        }
        self.watch_time(effects);
        self.pass_hooks(HookPoint::SessionStart, effects);
        Ok(())
    }

    fn take_answer(&mut self, answer: &EventKind, effects: &mut Vec<Effect>) -> Result<(), ProtocolError> {
        let Some(number) = answer.effect() else { return Ok(()) };
        if number == 0 || number > self.last_effect {
            return Err(ProtocolError::UnknownEffect { effect: number });
        }
        let Some(open) = self.open.get(&number).copied() else {
            self.settle_late(number, answer);
            return Ok(());
        };
        if !self.is_answered_by(open, answer) {
            return Err(ProtocolError::WrongAnswer { effect: number });
        }
        if let EventKind::LlmDone { calls, .. } = answer {
            let ids: BTreeSet<_> = calls.iter().map(|call| &call.id).collect();
            if ids.len() != calls.len() {
                return Err(ProtocolError::DuplicateCall);
            }
        }
        if let Some((usage, cost, estimated)) = answer.used() {
            self.spend(usage, cost, estimated);
        }
        match open {
            Open::Call(position) => self.take_call_answer(number, position, answer, effects),
            _ => self.take_model_answer(number, answer, effects),
        }
        Ok(())
    }

    fn is_answered_by(&self, open: Open, answer: &EventKind) -> bool {
        match open {
            Open::Llm => matches!(
                answer,
                EventKind::LlmDone { .. } | EventKind::LlmFailed { .. } | EventKind::BudgetExceeded { .. }
            ),
            Open::Backoff(_) | Open::Deadline(_) => matches!(answer, EventKind::TimerFired { .. }),
            Open::Hook => matches!(answer, EventKind::HookDone { .. }),
            Open::Compaction => matches!(answer, EventKind::CompactDone { .. }),
            Open::Call(position) => self.call_is_answered_by(position, answer),
        }
    }

    fn take_model_answer(&mut self, number: u32, answer: &EventKind, effects: &mut Vec<Effect>) {
        self.open.remove(&number);
        match (answer, self.state.clone()) {
            (EventKind::LlmDone { message, finish, calls, calls_granted, .. }, _) => {
                self.calls_granted = *calls_granted;
                self.spent.model_calls += 1;
                self.compacted = false;
                self.answer = Some((*message, *finish));
                let pending =
                    |request| Call { request, state: CallState::Pending, approval_expires_at: None };
                self.calls = calls.iter().cloned().map(pending).collect();
                self.pass_hooks(HookPoint::AfterModel, effects);
            }
            (EventKind::LlmFailed { .. }, State::AwaitingLlm { attempt, .. }) => {
                self.model_failed(number, attempt, answer, effects);
            }
            (
                EventKind::BudgetExceeded { scope, measure, raise: Some(raise), .. },
                State::AwaitingLlm { attempt, .. },
            ) => {
                self.raising = Some((*scope, *measure, attempt));
                self.ask_for(&raise.call, effects);
            }
            (EventKind::BudgetExceeded { scope, measure, .. }, _) => {
                let failure = Failure::Budget { scope: *scope, measure: *measure };
                self.end(Outcome::Failed(failure), effects);
            }
            (EventKind::TimerFired { .. }, State::AwaitingBackoff { effect, attempt })
                if effect == number =>
            {
                self.call_model(attempt + 1, effects);
            }
            (EventKind::TimerFired { .. }, _) => self.end_at_limit(Limit::Deadline, effects),
            (EventKind::HookDone { .. }, _) => self.take_hook_answer(answer, effects),
            (EventKind::CompactDone { freed: true, .. }, State::Compacting { attempt, .. }) => {
                self.call_model(attempt + 1, effects);
            }
            (EventKind::CompactDone { .. }, _) => self.end(too_long(), effects),
            // `is_answered_by` lets nothing else through.
            _ => {}
        }
    }

    fn model_failed(&mut self, number: u32, attempt: u32, answer: &EventKind, effects: &mut Vec<Effect>) {
        let EventKind::LlmFailed { code, message, retryable, too_long, retry_after, .. } = answer else {
            return;
        };
        if let Some(limit) = self.limit_reached() {
            return self.end_at_limit(limit, effects);
        }
        let may_try_again = attempt < self.config.limits.attempts;
        if *too_long && !self.compacted && may_try_again {
            self.compacted = true;
            let effect = self.open(Open::Compaction);
            self.state = State::Compacting { effect: effect.number, attempt };
            return effects.push(Effect::Compact { effect });
        }
        let failed = EffectId { turn: self.id, number };
        let delay = retry_after.unwrap_or_else(|| self.config.backoff.delay(attempt, failed));
        if *retryable && may_try_again && delay <= self.config.backoff.longest_asked {
            let effect = self.open(Open::Backoff(self.now + delay));
            self.state = State::AwaitingBackoff { effect: effect.number, attempt };
            return effects.push(Effect::StartTimer { effect, delay });
        }
        let code = code.parse().unwrap_or(ErrorCode::LlmUnavailable);
        let failure = Failure::Llm { code, message: message.clone(), retry_after: *retry_after };
        self.end(Outcome::Failed(failure), effects);
    }

    pub(crate) fn call_model(&mut self, attempt: u32, effects: &mut Vec<Effect>) {
        let effect = self.open(Open::Llm);
        self.state = State::AwaitingLlm { effect: effect.number, attempt };
        effects.push(Effect::CallLlm { effect, attempt });
    }

    pub(crate) fn after_model(&mut self, effects: &mut Vec<Effect>) {
        if self.calls.is_empty()
            && let Some((message, finish)) = self.answer
        {
            return self.end(Outcome::Finished { message, finish }, effects);
        }
        match self.limit_reached() {
            Some(limit) => self.end_at_limit(limit, effects),
            None => self.start_calls(effects),
        }
    }

    /// A limit that leaves no room for another answer.
    pub(crate) fn limit_reached(&self) -> Option<Limit> {
        let limits = &self.config.limits;
        if self.spent.model_calls >= limits.model_calls {
            Some(Limit::ModelCalls)
        } else if self.config.on_exceeded == OnExceeded::Ask {
            // Someone is asked before the next call.
            None
        } else if limits.tokens.is_some_and(|most| self.spent.usage.total() >= most) {
            Some(Limit::Tokens)
        } else if limits.cost.is_some_and(|most| self.spent.cost >= most) {
            Some(Limit::Cost)
        } else {
            None
        }
    }

    pub(crate) fn end_at_limit(&mut self, limit: Limit, effects: &mut Vec<Effect>) {
        self.end(Outcome::Failed(Failure::Limit { limit }), effects);
    }

    /// Ends the turn: stops what is out, gives every call its result. A turn that is over stays as it is.
    pub(crate) fn end(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        if self.outcome().is_some() {
            return;
        }
        for (number, open) in std::mem::take(&mut self.open) {
            if matches!(open, Open::Llm | Open::Call(_)) {
                self.settling.insert(number);
            }
            effects.push(Effect::Cancel { effect: EffectId { turn: self.id, number } });
        }
        self.cut_calls(&outcome, effects);
        self.state = State::Over(outcome.clone());
        effects.push(Effect::Finish(outcome));
    }

    pub(crate) fn open(&mut self, open: Open) -> EffectId {
        self.last_effect += 1;
        self.open.insert(self.last_effect, open);
        EffectId { turn: self.id, number: self.last_effect }
    }

    fn settle_late(&mut self, number: u32, answer: &EventKind) {
        if self.settling.remove(&number)
            && let Some((usage, cost, estimated)) = answer.used()
        {
            self.spend(usage, cost, estimated);
        }
    }
}

fn too_long() -> Outcome {
    let message =
        "the conversation does not fit the model's window, and nothing more can leave it".to_owned();
    Outcome::Failed(Failure::Llm { code: ErrorCode::ContextTooLong, message, retry_after: None })
}
