//! Tells what budgets there are and what is left of them.

use loom_access::Principal;
use loom_agent::{Amounts, Budget, BudgetScope, Window};
use loom_base::{AgentId, SessionId};
use loom_store::{BudgetKey, BudgetUsage};

use crate::{Agent, Error, Runtime, restore};

/// A budget and what turns have used of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetReport {
    /// Whose turns.
    pub scope: BudgetScope,
    /// The agent and its name, unless it is the server's.
    pub agent: Option<(AgentId, String)>,
    /// The session, when it is one's.
    pub session: Option<SessionId>,
    /// Its bounds.
    pub budget: Budget,
    /// The time it lasts now.
    pub window: Window,
    /// What is used and held back in that time.
    pub usage: BudgetUsage,
}

impl Runtime {
    /// The server's budget, those of agents by name, and that of `session`. With `agent`, an id or a name, only its own;
    /// without, those of all agents that have one.
    pub async fn budgets(
        &self,
        agent: Option<&str>,
        session: Option<&SessionId>,
        principal: Principal,
    ) -> Result<Vec<BudgetReport>, Error> {
        let mut reports = vec![self.of_turns(BudgetScope::Server, None, &self.server_budget()).await?];
        let agents = if let Some(agent) = agent {
            vec![self.agents().get(agent)?]
        } else {
            let mut bounded = self.agents().list();
            bounded.retain(|agent| !agent.definition.budgets.agent.is_unbounded());
            bounded
        };
        for agent in agents {
            let budget = agent.definition.budgets.agent.clone();
            reports.push(self.of_turns(BudgetScope::Agent, Some(&agent), &budget).await?);
        }
        if let Some(session) = session {
            reports.push(self.of_session(session, principal).await?);
        }
        Ok(reports)
    }

    async fn of_turns(
        &self,
        scope: BudgetScope,
        agent: Option<&Agent>,
        budget: &Budget,
    ) -> Result<BudgetReport, Error> {
        let window = budget.period.window(self.now());
        let key = BudgetKey { agent: agent.map(|agent| agent.id.clone()), window };
        Ok(BudgetReport {
            scope,
            agent: agent.map(|agent| (agent.id.clone(), agent.definition.name.clone())),
            session: None,
            budget: budget.clone(),
            window,
            usage: self.budget_usage(&key).await?,
        })
    }

    /// A session counts for itself: it has one budget for as long as it lives.
    async fn of_session(&self, session: &SessionId, principal: Principal) -> Result<BudgetReport, Error> {
        let record = self.sessions().get(session, principal).await?;
        let agent = self.agents().get(record.agent.as_str())?;
        let budget = agent.definition.budgets.session.clone();
        let reserved = self.held_by(session).await?;
        Ok(BudgetReport {
            scope: BudgetScope::Session,
            agent: Some((record.agent.clone(), agent.definition.name.clone())),
            session: Some(record.id),
            window: budget.period.window(self.now()),
            budget,
            usage: BudgetUsage {
                used: restore::used(&record.totals),
                reserved,
                estimated_tokens: record.totals.estimated_tokens,
                estimated_cost: record.totals.estimated_cost,
            },
        })
    }

    /// What the session's turn that has not ended holds back, once for each time that it may have used it.
    async fn held_by(&self, session: &SessionId) -> Result<Amounts, Error> {
        let Some(turn) = self.unfinished_of(session).await? else { return Ok(Amounts::default()) };
        let held = turn.reserved.unwrap_or_default();
        let mut sum =
            Amounts([0, 0, 0, held.time]).minus(Amounts::from(&turn.spent)).plus(held.call_amounts());
        for _ in 0..turn.stalled {
            let mut lost = held.call_amounts();
            lost.set(loom_agent::Measure::ToolCalls, 0);
            sum = sum.plus(lost);
        }
        Ok(sum)
    }
}
