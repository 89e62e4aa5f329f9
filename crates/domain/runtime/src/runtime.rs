//! The runtime as a whole.

use std::sync::Arc;

use loom_base::{Clock, IdSource};
use loom_fabric::Backends;
use loom_llm::{Catalog, Providers};
use loom_patterns::Source;
use loom_store::{StoreStatus, Stores};
use loom_telemetry::Metrics;
use loom_tools::Tool;

use crate::core::Core;
use crate::trace::Traces;
use crate::{Agents, AgentsParts, Error, ModelDefaults, RuntimeLimits, Sessions};

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
}

impl Runtime {
    /// Puts the parts together and reads the stored agents.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let agents = Agents::load(AgentsParts {
            store: Arc::clone(&parts.stores.agents),
            providers: Arc::clone(&parts.providers),
            backends: parts.backends,
            patterns: parts.patterns,
            extra_tools: parts.extra_tools,
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
        })
        .await?;
        let agents = Arc::new(agents);
        let stores = parts.stores.clone();
        let traces = Traces::new(stores.clone());
        let core = Core {
            stores: parts.stores,
            agents: Arc::clone(&agents),
            providers: parts.providers,
            catalog: parts.catalog,
            defaults: parts.defaults,
            limits: parts.limits,
            clock: parts.clock,
            ids: parts.ids,
            metrics: parts.metrics,
            instance: parts.instance,
        };
        Ok(Self { agents, sessions: Sessions::new(Arc::new(core)), traces, stores })
    }

    /// The agents.
    pub const fn agents(&self) -> &Arc<Agents> {
        &self.agents
    }

    /// The sessions.
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// How the store is, found out by using it.
    pub async fn store_status(&self) -> Result<StoreStatus, Error> {
        Ok(self.stores.health.status().await?)
    }

    /// The traces.
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }
}
