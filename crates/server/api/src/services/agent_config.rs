//! `AgentConfig` on the wire and the definition it means.
//!
//! A field of a feature that is not there is refused by name; 0 and "" mean the default, as everywhere in proto3.

use std::time::Duration;

use loom_llm::Sampling;
use loom_memory::Budgets;
use loom_proto::v1::{AgentConfig, BehaviorConfig, LlmConfig, MemoryConfig, PatternConfig, ToolsConfig};
use loom_runtime::{AgentBudgets, AgentDefinition, Behavior, LlmChoice, PatternChoice, Permissions};

use super::bounds;
use super::convert::{count, given, invalid, long, positive, unsupported};
use crate::Failure;

/// The definition that `config` means.
pub(super) fn definition(config: AgentConfig) -> Result<AgentDefinition, Failure> {
    refuse_unsupported(&config)?;
    let name = config.name.trim().to_owned();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(invalid(
            "config.name",
            "an agent needs a name of 1 to 128 characters without control characters",
        ));
    }
    bounds::agent(&config)?;
    let mut llm = config.llm.map(llm_choice).transpose()?.unwrap_or_default();
    if let Some(active) = given(config.active_provider) {
        llm.provider = Some(active);
    }
    let (behavior, patterns) = config.behavior.as_ref().map(behavior).transpose()?.unwrap_or_default();
    refuse_memory(config.memory.as_ref())?;
    Ok(AgentDefinition {
        name,
        description: config.description,
        metadata: config.metadata,
        system_prompt: config.system_prompt,
        llm,
        backends: config.backends,
        tools: config.tools.map(tools).transpose()?.flatten(),
        // Only files can say more of these.
        permissions: Permissions::default(),
        hooks: Vec::new(),
        budgets: AgentBudgets::default(),
        behavior,
        patterns,
        memory: Budgets::default(),
    })
}

fn refuse_unsupported(config: &AgentConfig) -> Result<(), Failure> {
    let roles = config.judge_llm.is_some()
        || config.orchestrator_llm.is_some()
        || config.classifier_llm.is_some()
        || config.compressor_llm.is_some();
    let refused = [
        ("ephemeral_agents", !config.ephemeral_agents.is_empty(), "agents do not start others yet"),
        ("rom", !config.rom.is_empty(), "write it into system_prompt, or bind patterns"),
        ("enable_finding_extraction", config.enable_finding_extraction, "findings are not extracted"),
        ("extraction_cadence", config.extraction_cadence != 0, "findings are not extracted"),
        ("max_findings", config.max_findings != 0, "findings are not extracted"),
        (
            "judge_llm, orchestrator_llm, classifier_llm, compressor_llm",
            roles,
            "one model does all work: set llm",
        ),
        ("allowed_providers", !config.allowed_providers.is_empty(), "set llm.provider"),
        ("skills", config.skills.is_some(), "use patterns"),
    ];
    match refused.into_iter().find(|(_, given, _)| *given) {
        Some((field, _, instead)) => Err(unsupported(&format!("config.{field}"), instead)),
        None => Ok(()),
    }
}

fn llm_choice(config: LlmConfig) -> Result<LlmChoice, Failure> {
    if config.rate_limit.is_some() {
        return Err(unsupported("config.llm.rate_limit", "rate limits are not built yet"));
    }
    let set = |value: f32| (value != 0.0).then_some(value);
    for (field, value, most) in [("temperature", config.temperature, 2.0), ("top_p", config.top_p, 1.0)] {
        if !(0.0..=most).contains(&value) {
            return Err(invalid(
                &format!("config.llm.{field}"),
                format!("{field} lies between 0 and {most}"),
            ));
        }
    }
    Ok(LlmChoice {
        provider: given(config.provider),
        model: given(config.model),
        sampling: Sampling {
            temperature: set(config.temperature),
            top_p: set(config.top_p),
            top_k: positive("config.llm.top_k", config.top_k)?,
            stop_sequences: config.stop_sequences,
        },
        max_tokens: positive("config.llm.max_tokens", config.max_tokens)?,
        max_context_tokens: positive("config.llm.max_context_tokens", config.max_context_tokens)?
            .map(u64::from),
        reserved_output_tokens: positive("config.llm.reserved_output_tokens", config.reserved_output_tokens)?
            .map(u64::from),
    })
}

/// The tools to keep; `None` for all there are.
fn tools(config: ToolsConfig) -> Result<Option<Vec<String>>, Failure> {
    if !config.mcp.is_empty() {
        return Err(unsupported("config.tools.mcp", "MCP servers are not built yet"));
    }
    if !config.custom.is_empty() {
        return Err(unsupported(
            "config.tools.custom",
            "tools of your own are registered by an embedding program",
        ));
    }
    Ok(Some(config.builtin).filter(|names| !names.is_empty()))
}

fn behavior(config: &BehaviorConfig) -> Result<(Behavior, PatternChoice), Failure> {
    let refused = [
        ("allow_code_execution", config.allow_code_execution, "no tool runs code"),
        ("allowed_domains", !config.allowed_domains.is_empty(), "no tool reaches the web"),
        ("output_token_cb_threshold", config.output_token_cb_threshold != 0, "use llm.max_tokens"),
    ];
    if let Some((field, _, instead)) = refused.into_iter().find(|(_, given, _)| *given) {
        return Err(unsupported(&format!("config.behavior.{field}"), instead));
    }
    let default = Behavior::default();
    let number = |field: &str, value: i32, default: u32| {
        Ok::<_, Failure>(positive(&format!("config.behavior.{field}"), value)?.unwrap_or(default))
    };
    let seconds = positive("config.behavior.timeout_seconds", config.timeout_seconds)?;
    let behavior = Behavior {
        max_turns: number("max_turns", config.max_turns, default.max_turns)?,
        max_tool_executions: number(
            "max_tool_executions",
            config.max_tool_executions,
            default.max_tool_executions,
        )?,
        max_iterations: number("max_iterations", config.max_iterations, default.max_iterations)?,
        timeout: seconds.map_or(default.timeout, |seconds| Duration::from_secs(u64::from(seconds))),
        on_unknown: default.on_unknown,
        when_busy: default.when_busy,
        ask_user: default.ask_user,
    };
    Ok((behavior, config.patterns.as_ref().map(pattern_choice).transpose()?.unwrap_or_default()))
}

fn pattern_choice(config: &PatternConfig) -> Result<PatternChoice, Failure> {
    if config.max_patterns_per_turn > 1 {
        return Err(unsupported(
            "config.behavior.patterns.max_patterns_per_turn",
            "one pattern is put beside a message",
        ));
    }
    if config.enable_tracking || config.use_llm_classifier {
        return Err(unsupported(
            "config.behavior.patterns.enable_tracking, use_llm_classifier",
            "patterns are ranked by their text alone",
        ));
    }
    let default = PatternChoice::default();
    // What was written with a few decimals comes back as written.
    let wanted = (f64::from(config.min_confidence) * 1e6).round() / 1e6;
    if !(0.0..=1.0).contains(&wanted) {
        return Err(invalid(
            "config.behavior.patterns.min_confidence",
            "min_confidence lies between 0 and 1",
        ));
    }
    let min_confidence = if wanted == 0.0 { default.min_confidence } else { wanted };
    Ok(PatternChoice { enabled: config.enabled, min_confidence, bound: Vec::new() })
}

/// Memory is the store's and bounded by tokens; the wire's fields speak of other designs.
fn refuse_memory(config: Option<&MemoryConfig>) -> Result<(), Failure> {
    match config {
        Some(config) if *config != MemoryConfig::default() => Err(unsupported(
            "config.memory",
            "sessions are kept in the server's store, and memory layers have token budgets",
        )),
        _ => Ok(()),
    }
}

/// `definition` as the wire shows it.
pub(super) fn config(definition: &AgentDefinition) -> AgentConfig {
    let llm = &definition.llm;
    let behavior = &definition.behavior;
    AgentConfig {
        name: definition.name.clone(),
        description: definition.description.clone(),
        llm: Some(LlmConfig {
            provider: llm.provider.clone().unwrap_or_default(),
            model: llm.model.clone().unwrap_or_default(),
            temperature: llm.sampling.temperature.unwrap_or_default(),
            max_tokens: count(llm.max_tokens.map_or(0, u64::from)),
            stop_sequences: llm.sampling.stop_sequences.clone(),
            top_p: llm.sampling.top_p.unwrap_or_default(),
            top_k: count(llm.sampling.top_k.map_or(0, u64::from)),
            max_context_tokens: count(llm.max_context_tokens.unwrap_or(0)),
            reserved_output_tokens: count(llm.reserved_output_tokens.unwrap_or(0)),
            rate_limit: None,
        }),
        system_prompt: definition.system_prompt.clone(),
        tools: definition.tools.clone().map(|builtin| ToolsConfig { builtin, ..ToolsConfig::default() }),
        behavior: Some(BehaviorConfig {
            max_iterations: count(u64::from(behavior.max_iterations)),
            timeout_seconds: i32::try_from(long(behavior.timeout.as_secs())).unwrap_or(i32::MAX),
            max_turns: count(u64::from(behavior.max_turns)),
            max_tool_executions: count(u64::from(behavior.max_tool_executions)),
            patterns: Some(PatternConfig {
                enabled: definition.patterns.enabled,
                #[expect(clippy::cast_possible_truncation, reason = "a confidence needs no 53 bits")]
                min_confidence: definition.patterns.min_confidence as f32,
                max_patterns_per_turn: i32::from(definition.patterns.enabled),
                ..PatternConfig::default()
            }),
            ..BehaviorConfig::default()
        }),
        metadata: definition.metadata.clone(),
        backends: definition.backends.clone(),
        ..AgentConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom_proto::v1::SkillsConfig;

    #[test]
    fn what_is_shown_is_what_is_accepted() {
        let shown = AgentConfig {
            name: "analyst".into(),
            system_prompt: "Answer from data.".into(),
            backends: vec!["shop".into()],
            llm: Some(LlmConfig {
                provider: "mock".into(),
                model: "m".into(),
                top_k: 3,
                ..LlmConfig::default()
            }),
            behavior: Some(BehaviorConfig { max_turns: 7, timeout_seconds: 9, ..BehaviorConfig::default() }),
            ..AgentConfig::default()
        };
        let first = definition(shown).unwrap();
        assert_eq!((first.behavior.max_turns, first.behavior.timeout), (7, Duration::from_secs(9)));
        assert_eq!(definition(config(&first)).unwrap(), first);
    }

    #[test]
    fn fields_of_missing_features_are_refused_by_name() {
        let named = || AgentConfig { name: "a".into(), ..AgentConfig::default() };
        let refused = [
            ("config.skills", AgentConfig { skills: Some(SkillsConfig::default()), ..named() }),
            ("config.rom", AgentConfig { rom: "TD".into(), ..named() }),
            (
                "config.memory",
                AgentConfig {
                    memory: Some(MemoryConfig { max_history: 3, ..MemoryConfig::default() }),
                    ..named()
                },
            ),
        ];
        for (field, config) in refused {
            let failure = definition(config).unwrap_err();
            assert_eq!(failure.code, loom_base::ErrorCode::UnsupportedField);
            assert_eq!(failure.metadata["field"], field);
        }
        assert!(definition(AgentConfig::default()).is_err());
    }
}
