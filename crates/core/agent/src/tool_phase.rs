//! The tools' half of a turn's rules: from an answer with calls to one result for each.

use loom_base::EffectId;

use crate::turn::Open;
use crate::{
    BudgetScope, Call, CallKind, CallOutcome, CallRequest, CallState, Effect, EventKind, Failure, HookPoint,
    Measure, OnUnknown, Outcome, Resolution, State, Turn, Verdict,
};

/// A budget that someone may raise, and the attempt that is made then.
type Raising = (BudgetScope, Measure, u32);

impl Turn {
    /// Admits the calls of an answer: refuses what policy or a limit refuses, asks where it must ask, runs the rest.
    pub(crate) fn start_calls(&mut self, effects: &mut Vec<Effect>) {
        self.state = State::RunningTools;
        let mut admitted = 0;
        for position in 0..self.calls.len() {
            let verdict = self.calls[position].request.verdict;
            if verdict == Verdict::Deny {
                self.settle(position, CallOutcome::Denied, effects);
                continue;
            }
            let limits = &self.config.limits;
            let granted = self.calls_granted.unwrap_or(u32::MAX).min(limits.calls_per_answer);
            if admitted >= granted || self.spent.tool_calls >= limits.tool_calls {
                self.settle(position, CallOutcome::OverLimit, effects);
                continue;
            }
            admitted += 1;
            self.spent.tool_calls += 1;
            if verdict == Verdict::Ask {
                self.request_approval(position, effects);
            }
        }
        self.dispatch(effects);
    }

    /// Asks someone for a call that is Loom's own.
    pub(crate) fn ask_for(&mut self, request: &CallRequest, effects: &mut Vec<Effect>) {
        let (request, state) = (request.clone(), CallState::Pending);
        self.calls = vec![Call { request, state, approval_expires_at: None }];
        self.state = State::RunningTools;
        self.request_approval(0, effects);
    }

    /// Goes on with the model call that a budget did not cover, or ends the turn.
    fn after_raise(&mut self, (scope, measure, attempt): Raising, effects: &mut Vec<Effect>) {
        if self.calls.iter().all(|call| call.state == CallState::Done(CallOutcome::Succeeded)) {
            self.call_model(attempt, effects);
        } else {
            self.end(Outcome::Failed(Failure::Budget { scope, measure }), effects);
        }
    }

    fn request_approval(&mut self, position: usize, effects: &mut Vec<Effect>) {
        let effect = self.open(Open::Call(position));
        let expires_at = self.now + self.config.approval_time.0;
        let call = &mut self.calls[position];
        call.state = CallState::AwaitingApproval(effect.number);
        call.approval_expires_at = Some(expires_at);
        effects.push(Effect::RequestApproval { effect, call: call.request.id.clone(), expires_at });
    }

    pub(crate) fn call_is_answered_by(&self, position: usize, answer: &EventKind) -> bool {
        match self.calls[position].state {
            CallState::AwaitingApproval(_) => {
                matches!(answer, EventKind::Approved { .. } | EventKind::Denied { .. })
            }
            CallState::AwaitingAnswer(_) => matches!(answer, EventKind::Answered { .. }),
            CallState::Dispatched(_) => {
                matches!(answer, EventKind::ToolDone { .. } | EventKind::ToolUnknown { .. })
            }
            CallState::Delegated(_) => matches!(answer, EventKind::DelegateDone { .. }),
            // A result that comes after its call was declared unknown is known to the journal, not acted on.
            CallState::AwaitingResolution(_) => matches!(
                answer,
                EventKind::EffectResolved { .. } | EventKind::ToolDone { .. } | EventKind::ToolUnknown { .. }
            ),
            CallState::Pending | CallState::Done(_) => false,
        }
    }

    pub(crate) fn take_call_answer(
        &mut self,
        number: u32,
        position: usize,
        answer: &EventKind,
        effects: &mut Vec<Effect>,
    ) {
        let outcome = match (answer, self.calls[position].state) {
            (
                EventKind::EffectResolved { resolution: Resolution::Happened, .. }
                | EventKind::Answered { .. },
                _,
            ) => Some(CallOutcome::Succeeded),
            (_, CallState::AwaitingResolution(_)) if !matches!(answer, EventKind::EffectResolved { .. }) => {
                return;
            }
            (EventKind::ToolUnknown { .. }, _) if self.config.on_unknown == OnUnknown::Wait => {
                self.calls[position].state = CallState::AwaitingResolution(number);
                return self.dispatch(effects);
            }
            (
                EventKind::ToolUnknown { .. }
                | EventKind::EffectResolved { resolution: Resolution::GiveUp, .. },
                _,
            ) => Some(CallOutcome::Unknown),
            (EventKind::ToolDone { succeeded, .. } | EventKind::DelegateDone { succeeded, .. }, _) => {
                Some(if *succeeded { CallOutcome::Succeeded } else { CallOutcome::Failed })
            }
            (EventKind::Denied { .. }, _) => Some(CallOutcome::Denied),
            (EventKind::EffectResolved { .. }, _) => {
                // Whoever says that it did not happen wants it done: that stands for an approval.
                self.calls[position].approval_expires_at = None;
                None
            }
            // Approved: it runs, unless that came too late, under an id of its own.
            _ => None,
        };
        self.open.remove(&number);
        match outcome {
            Some(outcome) => self.settle(position, outcome, effects),
            None => self.calls[position].state = CallState::Pending,
        }
        self.dispatch(effects);
    }

    /// Starts pending calls while slots are free; once every call has its result, goes on.
    fn dispatch(&mut self, effects: &mut Vec<Effect>) {
        let slots = usize::try_from(self.config.limits.parallel_calls.max(1)).unwrap_or(usize::MAX);
        let mut taken = self.calls.iter().filter(|call| call.state.takes_slot()).count();
        for position in 0..self.calls.len() {
            if self.calls[position].state != CallState::Pending || taken >= slots {
                continue;
            }
            if self.calls[position].approval_expires_at.is_some_and(|expiry| expiry < self.now) {
                self.settle(position, CallOutcome::Denied, effects);
                continue;
            }
            if self.calls[position].request.kind == CallKind::Raise {
                self.raise();
                self.settle(position, CallOutcome::Succeeded, effects);
                continue;
            }
            let effect = self.open(Open::Call(position));
            self.calls[position].state = self.begin(position, effect, effects);
            taken += usize::from(self.calls[position].state.takes_slot());
        }
        if self.calls.iter().all(|call| matches!(call.state, CallState::Done(_))) {
            match self.raising.take() {
                Some(raising) => self.after_raise(raising, effects),
                None => self.pass_hooks(HookPoint::AfterTools, effects),
            }
        }
    }

    fn begin(&self, position: usize, effect: EffectId, effects: &mut Vec<Effect>) -> CallState {
        let request = &self.calls[position].request;
        let call = request.id.clone();
        match request.kind {
            // A raise is settled at once, before it comes here.
            CallKind::Tool | CallKind::Raise => {
                effects.push(Effect::RunTool { effect, call });
                CallState::Dispatched(effect.number)
            }
            CallKind::Question => {
                effects.push(Effect::AskUser { effect, call });
                CallState::AwaitingAnswer(effect.number)
            }
            CallKind::Delegation => {
                effects.push(Effect::Delegate { effect, call });
                CallState::Delegated(effect.number)
            }
        }
    }

    fn settle(&mut self, position: usize, outcome: CallOutcome, effects: &mut Vec<Effect>) {
        self.calls[position].state = CallState::Done(outcome);
        effects.push(Effect::Settled { call: self.calls[position].request.id.clone() });
    }

    /// Gives every unfinished call the result it has when the turn ends under it.
    pub(crate) fn cut_calls(&mut self, end: &Outcome, effects: &mut Vec<Effect>) {
        for position in 0..self.calls.len() {
            if !matches!(self.calls[position].state, CallState::Done(_)) {
                let outcome = match self.calls[position].state {
                    // An answer whose calls were never looked at: a hook, someone or a limit ended the turn first.
                    CallState::Pending if self.state != State::RunningTools => match end {
                        Outcome::Failed(Failure::Hook { .. }) => CallOutcome::Denied,
                        Outcome::Cancelled => CallOutcome::Cancelled,
                        Outcome::Failed(_) | Outcome::Finished { .. } => CallOutcome::OverLimit,
                    },
                    _ => self.calls[position].outcome_when_cut(),
                };
                self.settle(position, outcome, effects);
            }
        }
    }
}
