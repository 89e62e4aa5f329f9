//! What a turn has used, and what its own budget leaves.

use loom_base::NanoUsd;
use loom_llm::Usage;

use crate::turn::Open;
use crate::{Amounts, Budget, Ceiling, EventKind, ProtocolError, Turn};

impl Turn {
    /// What is left of its own budget.
    pub fn budget_left(&self, used: Amounts) -> Ceiling {
        let (limits, times) = (&self.config.limits, self.raised.saturating_add(1));
        let cost = limits.cost.map(|cost| NanoUsd::from_nanos(cost.as_nanos().saturating_mul(times.into())));
        let tokens = limits.tokens.map(|tokens| tokens.saturating_mul(times.into()));
        Budget { cost, tokens, ..Budget::default() }.limits().after(used)
    }

    pub(crate) const fn raise(&mut self) {
        self.raised = self.raised.saturating_add(1);
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
