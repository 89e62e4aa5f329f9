//! What the turns of an agent, or all turns, have used in a time, and the room that budgets leave.
//!
//! What turns use is counted in the commits that end them, and what those that have not ended hold back is part of their own
//! rows: so the sums are exact after any stop. Room is lent to one Loom at a time, so that nothing is counted twice and no
//! commit of a turn waits for a budget.

use async_trait::async_trait;
use loom_agent::{Amounts, Ceiling, Window};
use loom_base::{AgentId, InstanceId, NanoUsd};

use crate::Error;

/// The turns that a budget is for, by when they were accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetKey {
    /// Of this agent; `None` for those of all.
    pub agent: Option<AgentId>,
    /// In this time.
    pub window: Window,
}

/// What turns have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetUsage {
    /// Used, by all that is committed.
    pub used: Amounts,
    /// Held back for what is in flight, or was when a stop cut it off.
    pub reserved: Amounts,
    /// Of the tokens used, those that no provider counted.
    pub estimated_tokens: u64,
    /// Of the money used, that of these tokens.
    pub estimated_cost: NanoUsd,
}

/// Room that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borrow {
    /// Of which budget.
    pub key: BudgetKey,
    /// For whom. What it had borrowed of this budget before goes back.
    pub instance: InstanceId,
    /// The budget's bounds. What they do not bound is not lent.
    pub limit: Ceiling,
    /// What it needs now.
    pub least: Amounts,
}

/// Room that is lent: what its borrower's turns may still begin to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// How much; less than was needed when there is no more.
    pub room: Amounts,
    /// Whether that is all there is, since nobody else can borrow: then asking again brings no more.
    pub is_all: bool,
}

/// Stores what budgets count.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// What the turns of a budget have used and hold back.
    async fn usage(&self, key: &BudgetKey) -> Result<BudgetUsage, Error>;

    /// Lends room after all steps that were queued before. The sum of what is used, held back and lent never exceeds the
    /// budget, unless it is made smaller.
    async fn borrow(&self, borrow: Borrow) -> Result<Lent, Error>;

    /// Takes back what `instance` has borrowed of a budget.
    async fn give_back(&self, key: &BudgetKey, instance: InstanceId) -> Result<(), Error>;
}
