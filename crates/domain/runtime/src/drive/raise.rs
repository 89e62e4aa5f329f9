//! What someone is asked when a budget does not cover a model call.

use loom_agent::{
    Amounts, Budget, BudgetScope, CallKind, CallRequest, Ceiling, OnExceeded, RaiseRequest, Verdict,
};
use loom_base::{CallId, Digest};
use loom_store::CallChange;
use loom_tools::EffectClass;

use super::Drive;
use super::budget::Short;
use crate::answer::Answer;

/// What a request to raise a budget is called, beside the tools.
const RAISE: &str = "raise_budget";

impl Drive<'_> {
    /// What someone is asked for when a budget does not cover a call, and its policy says so. It is stored as a call of the
    /// latest message.
    pub(super) fn ask_to_raise(&mut self, effect: u32, short: Short) -> Option<Box<RaiseRequest>> {
        let is_own = short.scope == BudgetScope::Turn;
        let policy =
            if is_own { self.accepted.config.on_exceeded } else { self.budgets.on_exceeded(short.scope) };
        if policy != OnExceeded::Ask {
            return None;
        }
        let message = self.steps.last_message().or(self.story.last_message)?;
        let used = Amounts::from(self.story.turn.spent()).of(short.measure);
        let bound = if is_own { self.own_limits() } else { self.budgets.limits(short.scope) };
        // The turn's own grows by its bound; past another this turn goes on, and the next one asks again.
        let bound_is = if is_own { "by" } else { "limit" };
        let arguments = serde_json::json!({
            "budget": short.scope.as_str(),
            bound_is: bound.of(short.measure).map(|bound| short.measure.show(bound)),
            "used_by_turn": short.measure.show(used),
        });
        let call = CallRequest {
            id: CallId::new(format!("raise-{effect}")),
            tool: RAISE.into(),
            kind: CallKind::Raise,
            class: EffectClass::Pure,
            verdict: Verdict::Ask,
            arguments: Digest::of_json(&arguments),
        };
        self.story.answer = Some(Answer::own(message, &call, arguments.clone()));
        let (id, tool, class) = (call.id.clone(), RAISE.to_owned(), call.class);
        self.steps.call(CallChange::Asked { message, call: id, tool, arguments, class });
        Some(Box::new(RaiseRequest { message, call }))
    }

    fn own_limits(&self) -> Ceiling {
        let limits = &self.accepted.config.limits;
        Budget { cost: limits.cost, tokens: limits.tokens, ..Budget::default() }.limits()
    }
}
