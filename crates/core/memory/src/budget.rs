//! How many tokens each layer may take.

use serde::{Deserialize, Serialize};

/// Budgets in tokens. Swap has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    /// System prompt, tools and bound patterns.
    pub rom: u64,
    /// Facts put beside a message.
    pub kernel: u64,
    /// The recent conversation.
    pub l1: u64,
    /// Summaries.
    pub l2: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { rom: 5_000, kernel: 2_000, l1: 10_000, l2: 3_000 }
    }
}
