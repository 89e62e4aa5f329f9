//! What an agent is, whatever form it was written in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use loom_agent::{Budget, Limits, OnUnknown};
use loom_llm::Sampling;
use loom_memory::Budgets;
use loom_store::WhenBusy;

use crate::{HookDefinition, Permissions};

/// An agent as its author wants it. Stored as JSON, with a version for each change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentDefinition {
    /// Unique among agents.
    pub name: String,
    /// What it is for, for people.
    #[serde(default)]
    pub description: String,
    /// The author's own notes: version, role, labels.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// What it is told about itself.
    #[serde(default)]
    pub system_prompt: String,
    /// Which model answers, and how.
    #[serde(default)]
    pub llm: LlmChoice,
    /// The backends it works on.
    #[serde(default)]
    pub backends: Vec<String>,
    /// The tools it is given; `None` for all there are.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Which of its calls may go ahead, and which someone must approve.
    #[serde(default, skip_serializing_if = "Permissions::is_default")]
    pub permissions: Permissions,
    /// What runs at fixed points of its turns, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookDefinition>,
    /// When its turns stop.
    #[serde(default)]
    pub behavior: Behavior,
    /// What its turns may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budgets: AgentBudgets,
    /// How patterns guide it.
    #[serde(default)]
    pub patterns: PatternChoice,
    /// How much it remembers.
    #[serde(default)]
    pub memory: Budgets,
}

impl AgentDefinition {
    /// An agent of that name with every default.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            metadata: BTreeMap::new(),
            system_prompt: String::new(),
            llm: LlmChoice::default(),
            backends: Vec::new(),
            tools: None,
            permissions: Permissions::default(),
            hooks: Vec::new(),
            behavior: Behavior::default(),
            budgets: AgentBudgets::default(),
            patterns: PatternChoice::default(),
            memory: Budgets::default(),
        }
    }
}

/// What an agent's turns may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentBudgets {
    /// Each turn, besides what [`Behavior`] says.
    pub turn: Budget,
    /// All turns of one session.
    pub session: Budget,
    /// All its turns.
    pub agent: Budget,
}

/// Which model answers, and how. What is `None` comes from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmChoice {
    /// The provider's configured name.
    pub provider: Option<String>,
    /// The provider's name of the model.
    pub model: Option<String>,
    /// How it chooses among likely tokens.
    pub sampling: Sampling,
    /// Tokens generated for one answer at most.
    pub max_tokens: Option<u32>,
    /// The model's window, where the catalog is wrong or does not know it.
    pub max_context_tokens: Option<u64>,
    /// Room kept for the answer; as much as may be generated, when not given.
    pub reserved_output_tokens: Option<u64>,
}

/// When an agent's turns stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behavior {
    /// Answers asked of the model in one turn.
    pub max_turns: u32,
    /// Tool calls of one turn.
    pub max_tool_executions: u32,
    /// Tool calls of one answer.
    pub max_iterations: u32,
    /// Time for one turn, waiting for people aside.
    pub timeout: Duration,
    /// What to do about a call that was cut off and may have taken effect.
    #[serde(skip_serializing_if = "is_default")]
    pub on_unknown: OnUnknown,
    /// Whether it may ask the user questions and wait for the answers.
    #[serde(skip_serializing_if = "is_default")]
    pub ask_user: bool,
    /// What becomes of a message that finds its session at work, unless session or message say so.
    #[serde(skip_serializing_if = "is_default")]
    pub when_busy: WhenBusy,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Behavior {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_turns: limits.model_calls,
            max_tool_executions: limits.tool_calls,
            max_iterations: limits.calls_per_answer,
            timeout: Duration::from_mins(5),
            on_unknown: OnUnknown::default(),
            ask_user: false,
            when_busy: WhenBusy::default(),
        }
    }
}

/// How patterns guide an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatternChoice {
    /// Whether the best pattern is put beside each message.
    pub enabled: bool,
    /// How well it must fit, in 0..1.
    pub min_confidence: f64,
    /// Patterns that are always there, in the system prompt.
    pub bound: Vec<String>,
}

impl Default for PatternChoice {
    fn default() -> Self {
        Self { enabled: true, min_confidence: loom_patterns::DEFAULT_MIN_CONFIDENCE, bound: Vec::new() }
    }
}
