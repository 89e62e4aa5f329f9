//! The keys that both forms share: under `spec`, or under `agent` in the older form.

use std::ops::RangeInclusive;
use std::time::Duration;

use loom_agent::OnUnknown;
use loom_memory::Budgets;
use loom_store::WhenBusy;

use super::fields::{Section, Unbuilt};
use super::llm::{self, COUNT};
use super::value::Value;
use super::{Places, budgets, hooks, permissions};
use crate::{AgentBudgets, Behavior, HookDefinition, LlmChoice, PatternChoice, Permissions};

/// What an agent is, all but its name and notes.
pub(super) struct Body {
    pub(super) system_prompt: String,
    pub(super) llm: LlmChoice,
    pub(super) backends: Vec<String>,
    pub(super) tools: Option<Vec<String>>,
    pub(super) permissions: Permissions,
    pub(super) hooks: Vec<HookDefinition>,
    pub(super) behavior: Behavior,
    pub(super) budgets: AgentBudgets,
    pub(super) patterns: PatternChoice,
    pub(super) memory: Budgets,
}

const REMOVE: &str = "remove it";
const ONE_MODEL: &str = "one model does all the work; choose it under `llm`";
const BACKEND_FILE: &str = "define the backend in a file of its own in the backends folder (`backends_dir`) and \
                            keep only its name here";
const ONE_STORE: &str = "remove it; sessions are kept in the server's store, whole";
const BUDGETED: &str = "remove it; `memory.budgets.l1` bounds the conversation in the context, in tokens";

/// Keys of `spec` or `agent` without a feature.
pub(super) const UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("backend_path", BACKEND_FILE),
    Unbuilt::new("judge_llm", ONE_MODEL),
    Unbuilt::new("orchestrator_llm", ONE_MODEL),
    Unbuilt::new("classifier_llm", ONE_MODEL),
    Unbuilt::new("compressor_llm", ONE_MODEL),
    Unbuilt::new("allowed_providers", "remove it; the agent uses `llm.provider` only"),
    Unbuilt::new("rom", "write it into `system_prompt`, or name patterns under `patterns`"),
    Unbuilt::new("skills", "use patterns"),
    Unbuilt::new("ephemeral_agents", "remove it; agents do not start others"),
    Unbuilt::new(
        "observability",
        "remove it; `observability` in the server's configuration holds for all agents",
    ),
    Unbuilt::new("enable_finding_extraction", REMOVE),
    Unbuilt::new("extraction_cadence", REMOVE),
    Unbuilt::new("max_findings", REMOVE),
    Unbuilt::new("task_board", REMOVE),
    Unbuilt::new("graph_memory", REMOVE),
];

/// Keys of `backend` without a feature.
pub(super) const BACKEND_UNBUILT: &[Unbuilt] =
    &[Unbuilt::new("type", BACKEND_FILE), Unbuilt::new("config", BACKEND_FILE)];

/// Keys of `tools` without a feature.
pub(super) const TOOLS_UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("mcp", "remove it; tools come from backends, patterns and the embedding program"),
    Unbuilt::new("custom", "remove it; a program that embeds Loom registers tools of its own"),
];

/// Keys of `memory` without a feature.
pub(super) const MEMORY_UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("type", ONE_STORE),
    Unbuilt::new("path", ONE_STORE),
    Unbuilt::new("dsn", ONE_STORE),
    Unbuilt::new("max_history", BUDGETED),
    Unbuilt::new("shared_memory_threshold_bytes", REMOVE),
    Unbuilt::new("max_tool_results", BUDGETED),
    Unbuilt::new("memory_compression", BUDGETED),
    Unbuilt::new("graph_memory", REMOVE),
    Unbuilt::new("task_board", REMOVE),
];

/// Keys of `memory.budgets` whose layers are empty in this version.
pub(super) const BUDGETS_UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("kernel", "remove it; no facts are kept beside the conversation"),
    Unbuilt::new("l2", "remove it; no summaries are made"),
];

/// Keys of `config` without a feature, and one whose feature is always on.
pub(super) const CONFIG_UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("allow_code_execution", "remove it; no tool runs code"),
    Unbuilt::new("allowed_domains", "remove it; no tool reaches the web"),
    Unbuilt::new("skills", "use patterns"),
    Unbuilt::new("output_token_cb_threshold", "use `llm.max_tokens` and `max_turns`"),
    Unbuilt::new("enable_self_healing", REMOVE),
    Unbuilt::new("enable_self_correction", REMOVE),
    Unbuilt::always_on("enable_tracing", "every turn is traced; remove it"),
];

/// Keys of `config.patterns` without a feature.
pub(super) const PATTERNS_UNBUILT: &[Unbuilt] = &[
    Unbuilt::new("enable_tracking", REMOVE),
    Unbuilt::new("use_llm_classifier", "patterns are ranked by their text; remove it"),
];

/// How well a pattern must fit.
const CONFIDENCE: RangeInclusive<f64> = 0.0..=1.0;

pub(super) fn read(section: &mut Section<'_>, places: &mut Places) -> Body {
    let (llm, active) = (section.value("llm"), section.value("active_provider"));
    places.llm = llm.as_ref().or(active.as_ref()).map(|value| value.key_position);
    let (several, one) = (section.value("backends"), section.value("backend"));
    places.backends = several.as_ref().or(one.as_ref()).map(|value| value.key_position);
    let bound = section.value("patterns");
    places.patterns = bound.as_ref().map(|value| value.key_position);
    let hooks = section.value("hooks");
    places.hooks = hooks.as_ref().map(|value| value.key_position);
    let (behavior, mut patterns) = section
        .either("config", "behavior")
        .and_then(|value| value.section(CONFIG_UNBUILT, config))
        .unwrap_or_default();
    patterns.bound = bound.and_then(|value| value.names()).unwrap_or_default();
    Body {
        system_prompt: section.value("system_prompt").and_then(|value| value.text()).unwrap_or_default(),
        llm: llm::read(llm.as_ref(), active.as_ref()),
        backends: backend_names(several, one).unwrap_or_default(),
        tools: section.value("tools").and_then(|value| tool_names(&value)),
        permissions: section
            .value("permissions")
            .and_then(|value| permissions::read(&value))
            .unwrap_or_default(),
        hooks: hooks.and_then(|value| hooks::read(&value)).unwrap_or_default(),
        behavior,
        budgets: section.value("budgets").and_then(|value| budgets::read(&value)).unwrap_or_default(),
        patterns,
        memory: section
            .value("memory")
            .and_then(|value| value.section(MEMORY_UNBUILT, memory))
            .unwrap_or_default(),
    }
}

/// `backends: [a, b]`, `backend: a` or `backend: {name: a}`.
fn backend_names(several: Option<Value<'_>>, one: Option<Value<'_>>) -> Option<Vec<String>> {
    match (several, one) {
        (None, None) => None,
        (Some(several), None) => several.names(),
        (None, Some(one)) => backend_name(&one).map(|name| vec![name]),
        (Some(several), Some(one)) => {
            one.contradicts(&several);
            None
        }
    }
}

fn backend_name(value: &Value<'_>) -> Option<String> {
    if value.is_scalar() {
        return value.name();
    }
    value.section(BACKEND_UNBUILT, |section| section.required("name")?.name())?
}

/// `tools: [a, b]` or `tools: {builtin: [a, b]}`; `None` for all there are.
fn tool_names(value: &Value<'_>) -> Option<Vec<String>> {
    if !value.is_section() {
        return value.names();
    }
    value.section(TOOLS_UNBUILT, |section| section.value("builtin")?.names())?
}

fn memory(section: &mut Section<'_>) -> Budgets {
    let budgets = |section: &mut Section<'_>| {
        let default = Budgets::default();
        let tokens = |value: Value<'_>| value.count(&COUNT).map(u64::from);
        Budgets {
            rom: section.value("rom").and_then(tokens).unwrap_or(default.rom),
            l1: section.value("l1").and_then(tokens).unwrap_or(default.l1),
            ..default
        }
    };
    section.value("budgets").and_then(|value| value.section(BUDGETS_UNBUILT, budgets)).unwrap_or_default()
}

fn config(section: &mut Section<'_>) -> (Behavior, PatternChoice) {
    let default = Behavior::default();
    let mut count = |key| section.value(key).and_then(|value| value.count(&COUNT));
    let seconds = count("timeout_seconds").map(|seconds| Duration::from_secs(u64::from(seconds)));
    let behavior = Behavior {
        max_turns: count("max_turns").unwrap_or(default.max_turns),
        max_tool_executions: count("max_tool_executions").unwrap_or(default.max_tool_executions),
        max_iterations: count("max_iterations").unwrap_or(default.max_iterations),
        timeout: seconds.unwrap_or(default.timeout),
        on_unknown: section.value("on_unknown").and_then(|value| on_unknown(&value)).unwrap_or_default(),
        ask_user: section.value("ask_user").and_then(|value| value.flag()).unwrap_or_default(),
        when_busy: section.value("when_busy").and_then(|value| when_busy(&value)).unwrap_or_default(),
    };
    let choice = section.value("patterns").and_then(|value| value.section(PATTERNS_UNBUILT, pattern_choice));
    (behavior, choice.unwrap_or_default())
}

/// What to do about a call that may have taken effect.
fn on_unknown(value: &Value<'_>) -> Option<OnUnknown> {
    match value.text()?.as_str() {
        "wait" => Some(OnUnknown::Wait),
        "tell" => Some(OnUnknown::Tell),
        _ => {
            value.invalid("must be `wait` (until someone says what became of it) or `tell` (the model)");
            None
        }
    }
}

/// What becomes of a message that finds its session at work.
fn when_busy(value: &Value<'_>) -> Option<WhenBusy> {
    let text = value.text()?;
    let found = WhenBusy::ALL.into_iter().find(|known| known.as_str() == text);
    if found.is_none() {
        value.invalid("must be `queue` (it waits), `interrupt` (it stops the turn that runs) or `reject`");
    }
    found
}

fn pattern_choice(section: &mut Section<'_>) -> PatternChoice {
    let default = PatternChoice::default();
    let enabled = section.value("enabled").and_then(|value| value.flag()).unwrap_or(default.enabled);
    let confidence = section.value("min_confidence").and_then(|value| value.number(&CONFIDENCE));
    PatternChoice {
        enabled: enabled && section.value("max_patterns_per_turn").is_none_or(|value| any_per_turn(&value)),
        min_confidence: confidence.unwrap_or(default.min_confidence),
        bound: default.bound,
    }
}

/// Whether a pattern is put beside a message at all: no more than one ever is.
fn any_per_turn(value: &Value<'_>) -> bool {
    match value.count(&(0..=*COUNT.end())) {
        Some(0) => false,
        Some(1) | None => true,
        Some(_) => {
            value.unsupported(
                "1 is the most; name patterns that must always be there under `patterns` of the agent",
            );
            true
        }
    }
}
