//! What every session and turn shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loom_agent::Budget;
use loom_base::{Clock, ErrorCode, IdSource, NanoUsd};
use loom_llm::{Catalog, LlmProvider, ModelInfo, Providers, Sampling, Usage};
use loom_store::Stores;
use loom_telemetry::Metrics;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::budgets::Budgets;
use crate::lease::Membership;
use crate::{Agent, AgentDefinition, Agents, Error};

/// Tokens generated for one answer at most, where neither agent nor configuration says.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// What agents that do not say otherwise use.
#[derive(Clone, Debug, Default)]
pub struct ModelDefaults {
    /// The provider.
    pub provider: Option<String>,
    /// The model of each provider.
    pub models: BTreeMap<String, String>,
    /// Tokens generated for one answer at most.
    pub max_tokens: Option<u32>,
    /// How models choose among likely tokens.
    pub sampling: Sampling,
}

/// Bounds of the runtime itself.
#[derive(Clone, Debug)]
pub struct RuntimeLimits {
    /// Messages that may wait in one session.
    pub queue: usize,
    /// How long an idle session stays in memory.
    pub idle: Duration,
    /// How long this Loom may be silent before others that share its store take its sessions.
    pub lease: Duration,
    /// What all turns may use together.
    pub budget: Budget,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        let (idle, lease) = (Duration::from_mins(5), Duration::from_secs(10));
        Self { queue: 16, idle, lease, budget: Budget::default() }
    }
}

/// What every session and turn shares.
pub(crate) struct Core {
    pub(crate) stores: Stores,
    pub(crate) membership: Membership,
    pub(crate) budgets: Budgets,
    pub(crate) agents: Arc<Agents>,
    pub(crate) providers: Arc<dyn Providers>,
    pub(crate) catalog: Catalog,
    pub(crate) defaults: ModelDefaults,
    pub(crate) limits: RuntimeLimits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) instance: String,
    /// What goes on beside the sessions, and is waited for at the end.
    pub(crate) tasks: TaskTracker,
    /// Others that share the store may have left sessions to whoever wants them.
    pub(crate) owners_changed: Notify,
}

/// The model that answers a turn.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) provider: Arc<dyn LlmProvider>,
    pub(crate) provider_name: String,
    pub(crate) name: Arc<str>,
    pub(crate) info: ModelInfo,
    pub(crate) window: u64,
    pub(crate) max_output: u32,
    pub(crate) output_reserve: u64,
    pub(crate) sampling: Sampling,
}

/// Bytes of a tool result that the model is shown: a quarter of its room, within these bounds.
const RESULT_BYTES: std::ops::RangeInclusive<u64> = 4_096..=65_536;

impl Model {
    /// Bytes of a tool result that it is shown.
    pub(crate) fn most_result_bytes(&self) -> usize {
        let quarter = self.window.saturating_sub(self.output_reserve) / 4;
        let bytes = quarter.saturating_mul(3).clamp(*RESULT_BYTES.start(), *RESULT_BYTES.end());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

impl Core {
    /// Starts what goes on beside the sessions, and is waited for at the end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(self.tasks.track_future(task)));
    }

    /// The agent with that id or name, also one that another Loom on the same database has just made.
    pub(crate) async fn agent(&self, id_or_name: &str) -> Result<Arc<Agent>, Error> {
        match self.agents.get(id_or_name) {
            Err(error) if error.code == ErrorCode::AgentNotFound && self.membership.is_shared() => {
                self.agents.refresh().await?;
                self.agents.get(id_or_name)
            }
            known => known,
        }
    }

    /// The model that `definition` asks for, completed by the configuration.
    pub(crate) fn model_of(&self, definition: &AgentDefinition) -> Result<Model, Error> {
        let choice = &definition.llm;
        let provider_name = choice.provider.clone().or_else(|| self.defaults.provider.clone()).ok_or_else(|| {
            let message = "no model provider is configured: set `llm.provider` in the configuration or in the agent, \
                           for example `anthropic` with ANTHROPIC_API_KEY, or `offline` to try without a key";
            Error::new(ErrorCode::NoProvider, message)
        })?;
        let provider = self
            .providers
            .get(&provider_name)
            .ok_or_else(|| Error::no_such_provider(&provider_name, &self.providers.names()))?;
        let name = choice.model.clone().or_else(|| self.defaults.models.get(&provider_name).cloned());
        let name = name.ok_or_else(|| {
            let message = format!("no model is chosen for provider {provider_name:?}: set `llm.model`");
            Error::new(ErrorCode::ModelNotFound, message)
        })?;
        // By what the provider is, whatever it is called here.
        let info = self.catalog.get(provider.name(), &name);
        let wanted = choice.max_tokens.or(self.defaults.max_tokens).unwrap_or(DEFAULT_MAX_TOKENS);
        let max_output = wanted.min(info.max_output);
        Ok(Model {
            provider,
            provider_name,
            name: name.into(),
            info,
            window: choice.max_context_tokens.unwrap_or(info.context_window),
            max_output,
            output_reserve: choice.reserved_output_tokens.unwrap_or(u64::from(max_output)),
            sampling: self.sampling_of(definition),
        })
    }

    fn sampling_of(&self, definition: &AgentDefinition) -> Sampling {
        let (own, default) = (&definition.llm.sampling, &self.defaults.sampling);
        let stop = if own.stop_sequences.is_empty() { &default.stop_sequences } else { &own.stop_sequences };
        Sampling {
            temperature: own.temperature.or(default.temperature),
            top_p: own.top_p.or(default.top_p),
            top_k: own.top_k.or(default.top_k),
            stop_sequences: stop.clone(),
        }
    }

    /// Counts one model call, also a failed one.
    pub(crate) fn count_model_call(
        &self,
        provider: &str,
        model: &str,
        outcome: &str,
        usage: Usage,
        cost: NanoUsd,
        took: Duration,
    ) {
        self.metrics.llm_calls.add([provider, model, outcome], 1);
        self.metrics.llm_seconds.observe([provider, model], took);
        let kinds = [
            ("input", usage.input),
            ("output", usage.output),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
        ];
        for (kind, tokens) in kinds {
            self.metrics.llm_tokens.add([provider, model, kind], tokens);
        }
        let nanos = u64::try_from(cost.as_nanos()).unwrap_or(0);
        self.metrics.llm_cost_nano_usd.add([provider, model], nanos);
    }
}
