//! What a turn has used, and what its own budget leaves.

use std::collections::BTreeSet;

use loom_base::NanoUsd;
use loom_llm::Usage;

use crate::turn::Open;
use crate::{Amounts, Budget, BudgetScope, Ceiling, EventKind, ProtocolError, Turn};

impl Turn {
    /// What is left of its own budget.
    pub fn budget_left(&self, used: Amounts) -> Ceiling {
        let (limits, times) = (&self.config.limits, self.raised.saturating_add(1));
        let cost = limits.cost.map(|cost| NanoUsd::from_nanos(cost.as_nanos().saturating_mul(times.into())));
        let tokens = limits.tokens.map(|tokens| tokens.saturating_mul(times.into()));
        Budget { cost, tokens, ..Budget::default() }.limits().after(used)
    }

    /// The budgets beyond its own that it no longer has to fit: someone was asked, and lets it go past them.
    pub const fn let_past(&self) -> &BTreeSet<BudgetScope> {
        &self.let_past
    }

    /// Someone agrees to what was asked for.
    pub(crate) fn raise(&mut self) {
        match self.raising {
            Some((BudgetScope::Turn, ..)) | None => self.raised = self.raised.saturating_add(1),
            Some((scope, ..)) => {
                self.let_past.insert(scope);
            }
        }
    }

    /// A model call that is out was cut off; it stays out.
    pub(crate) fn lose_call(&mut self, number: u32, kind: &EventKind) -> Result<(), ProtocolError> {
        match self.open.get(&number) {
            Some(Open::Llm) => {
                let (usage, cost) = kind.lost();
                self.spend(usage, cost, true);
                Ok(())
            }
            Some(_) => Err(ProtocolError::WrongAnswer { effect: number }),
            None if number == 0 || number > self.last_effect => {
                Err(ProtocolError::UnknownEffect { effect: number })
            }
            // It was answered before, and that says what it used.
            None => Ok(()),
        }
    }

    pub(crate) fn spend(&mut self, usage: Usage, cost: NanoUsd, estimated: bool) {
        self.spent.usage += usage;
        self.spent.cost += cost;
        if estimated {
            self.spent.estimated_tokens = self.spent.estimated_tokens.saturating_add(usage.total());
            self.spent.estimated_cost += cost;
        }
    }
}
