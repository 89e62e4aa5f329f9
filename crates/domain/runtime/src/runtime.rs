//! The runtime as a whole.

use std::sync::Arc;

use loom_agent::Budget;
use loom_base::{Clock, IdSource, SessionId, Timestamp};
use loom_fabric::Backends;
use loom_llm::{Catalog, Providers};
use loom_patterns::Source;
use loom_store::{BudgetKey, BudgetUsage, Removed, StoreStatus, Stores, TurnRecord};
use loom_telemetry::Metrics;
use loom_tools::{Hook, Tool};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::budgets::Budgets;
use crate::core::Core;
use crate::lease::Membership;
use crate::others;
use crate::trace::Traces;
use crate::{Agents, AgentsParts, Error, HookMaker, ModelDefaults, Peers, RuntimeLimits, Sessions, Upkeep};

/// What a runtime is made of.
pub struct Parts {
    /// What is remembered.
    pub stores: Stores,
    /// The models.
    pub providers: Arc<dyn Providers>,
    /// Windows and prices.
    pub catalog: Catalog,
    /// What agents that do not say otherwise use.
    pub defaults: ModelDefaults,
    /// The data sources.
    pub backends: Arc<dyn Backends>,
    /// The patterns.
    pub patterns: Arc<dyn Source>,
    /// Tools of the embedding program, given to every agent.
    pub extra_tools: Vec<Arc<dyn Tool>>,
    /// Hooks of the embedding program, run for every agent.
    pub extra_hooks: Vec<Arc<dyn Hook>>,
    /// Makes the hooks that agents define.
    pub hook_maker: Arc<dyn HookMaker>,
    /// Bounds.
    pub limits: RuntimeLimits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
    /// Who counts.
    pub metrics: Arc<Metrics>,
    /// The name of this Loom among others in the process, as spans carry it.
    pub instance: String,
}

/// Agents, their sessions and their traces.
pub struct Runtime {
    agents: Arc<Agents>,
    sessions: Sessions,
    traces: Traces,
    stores: Stores,
    core: Arc<Core>,
}

impl Runtime {
    /// Puts the parts together, reads the stored agents and joins those that share the store. What it holds there lasts for
    /// as long as [`keep_hold`](Self::keep_hold) runs.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let agents = Agents::load(AgentsParts {
            store: Arc::clone(&parts.stores.agents),
            hints: Arc::clone(&parts.stores.hints),
            providers: Arc::clone(&parts.providers),
            backends: parts.backends,
            patterns: parts.patterns,
            extra_tools: parts.extra_tools,
            extra_hooks: parts.extra_hooks,
            hook_maker: parts.hook_maker,
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
        })
        .await?;
        let agents = Arc::new(agents);
        let stores = parts.stores.clone();
        let traces = Traces::new(stores.clone());
        let membership =
            Membership::join(&stores, Arc::clone(&parts.clock), Arc::clone(&parts.ids), parts.limits.lease)
                .await?;
        let core = Core {
            stores: parts.stores,
            membership,
            budgets: Budgets::new(Arc::clone(&stores.budgets)),
            agents: Arc::clone(&agents),
            providers: parts.providers,
            catalog: parts.catalog,
            defaults: parts.defaults,
            limits: parts.limits,
            clock: parts.clock,
            ids: parts.ids,
            metrics: parts.metrics,
            instance: parts.instance,
            tasks: TaskTracker::new(),
            owners_changed: Notify::new(),
        };
        let core = Arc::new(core);
        Ok(Self { agents, sessions: Sessions::new(Arc::clone(&core)), traces, stores, core })
    }

    /// The agents.
    pub const fn agents(&self) -> &Arc<Agents> {
        &self.agents
    }

    /// The sessions.
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Keeps the hold on sessions, where several Looms share the store. To be spawned; returns at once where none do.
    pub fn keep_hold(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = Arc::clone(&self.core);
        async move { core.membership.keep(&core.budgets).await }
    }

    /// Takes in what others that share the store do, as soon as they give a hint of it and now and then without. To be
    /// spawned; returns at once where nobody else can come.
    pub fn follow_others(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = Arc::clone(&self.core);
        async move { others::follow(&core).await }
    }

    /// Tells the others that share the store where this Loom listens.
    pub async fn announce(&self, address: String) -> Result<(), Error> {
        self.core.membership.announce(address).await
    }

    /// Those who share the store; `None` where nobody else can.
    pub fn peers(&self) -> Option<Arc<Peers>> {
        self.core.membership.peers()
    }

    /// Gives the sessions to the others that share the store. To be called after [`Sessions::shut_down`].
    pub async fn leave(&self) -> Result<(), Error> {
        self.core.membership.leave().await
    }

    /// How the store is, found out by using it.
    pub async fn store_status(&self) -> Result<StoreStatus, Error> {
        Ok(self.stores.health.status().await?)
    }

    /// What the turns of a budget have used, and hold back for what is in flight.
    pub async fn budget_usage(&self, key: &BudgetKey) -> Result<BudgetUsage, Error> {
        Ok(self.stores.budgets.usage(key).await?)
    }

    pub(crate) fn server_budget(&self) -> Budget {
        self.core.limits.budget.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// The session's turn that has not ended.
    pub(crate) async fn unfinished_of(&self, session: &SessionId) -> Result<Option<TurnRecord>, Error> {
        let Some(turn) = self.stores.turns.unfinished(session).await? else { return Ok(None) };
        Ok(self.stores.turns.journal(turn).await?.map(|journal| journal.turn))
    }

    /// Looks after all that is stored.
    pub const fn upkeep(&self) -> Upkeep<'_> {
        Upkeep::new(&self.stores)
    }

    /// Removes the sessions that nothing happened in since `before`, and to which nothing is owed. Those in memory stay.
    pub async fn clean_up(&self, before: Timestamp) -> Result<Removed, Error> {
        self.upkeep().clean_up(before, &|session| self.sessions.is_in_memory(session)).await
    }

    /// The traces.
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }
}
