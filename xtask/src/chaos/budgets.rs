//! Holds what budgets count against what turns used, as clients and journals say.

use std::collections::BTreeMap;

use super::check::Run;
use super::facts::{Account, Estimated, Measure, Turn};

/// What turns used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    nanos: i64,
    tokens: i64,
    estimated: Estimated,
}

impl Sum {
    const fn add(&mut self, turn: &Turn) {
        self.nanos += turn.spent.nanos;
        self.tokens += turn.spent.input + turn.spent.output;
        self.estimated.nanos += turn.estimated.nanos;
        self.estimated.tokens += turn.estimated.tokens;
    }
}

/// Every account that does not say what turns used, or more than it may.
pub(super) fn violations(run: &Run<'_>) -> Vec<String> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for turn in run.facts.turns.values() {
        // The server's has no owner.
        for owner in ["", &turn.agent, &turn.session] {
            sums.entry(owner).or_default().add(turn);
        }
    }
    let mut found: Vec<_> = run.facts.accounts.iter().flat_map(|account| of(account, &sums)).collect();
    found.extend(overspent(&run.facts.accounts));
    for (turn, told) in &run.seen.costs {
        if let Some(spent) = run.facts.turns.get(turn).map(|turn| turn.spent.nanos)
            && spent != *told
        {
            found.push(format!("{turn} cost {told} nano-dollars as a client was told, and {spent}"));
        }
    }
    found
}

fn of(account: &Account, sums: &BTreeMap<&str, Sum>) -> Vec<String> {
    let counted = Sum {
        nanos: account.nanos.used,
        tokens: account.tokens.used,
        estimated: Estimated { nanos: account.estimated_nanos, tokens: account.estimated_tokens },
    };
    let used = sums.get(account.owner.as_str()).copied().unwrap_or_default();
    let name = name(account);
    let mut found = Vec::new();
    if counted != used {
        found.push(format!("the budget of {name} counts {counted:?}, and its turns used {used:?}"));
    }
    for held in [account.nanos.reserved, account.tokens.reserved] {
        if held != 0 {
            found.push(format!("the budget of {name} holds back {held} for no turn that runs"));
        }
    }
    found
}

/// Accounts in which more is used and held back than there may be: at any moment, not only in the end.
pub(super) fn overspent(accounts: &[Account]) -> Vec<String> {
    let is_over =
        |measure: &Measure| measure.limit.is_some_and(|limit| measure.used + measure.reserved > limit);
    let over = |account: &Account| {
        let measures = [account.nanos, account.tokens];
        measures.into_iter().find(is_over).map(|over| format!("the budget of {}: {over:?}", name(account)))
    };
    accounts.iter().filter_map(over).collect()
}

fn name(account: &Account) -> &str {
    if account.owner.is_empty() { "the server" } else { &account.owner }
}
