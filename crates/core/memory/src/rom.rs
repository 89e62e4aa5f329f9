//! ROM: what every session of an agent shares and no turn changes.

use std::sync::Arc;

use loom_base::Digest;
use loom_llm::{ToolDefinition, estimate_text, estimate_tool};

/// An agent's fixed part of every request. Swapped whole on a reload, between turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Rom {
    /// The system prompt with the bound patterns.
    pub system: Arc<str>,
    /// The tools.
    pub tools: Arc<[ToolDefinition]>,
    /// About how many tokens all that is.
    pub tokens: u64,
    /// The digest of all that: two agents with one digest send the same prefix.
    pub digest: Digest,
}

/// A ROM over its budget, with its breakdown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the agent's fixed context takes {total} tokens of a budget of {budget}: system prompt {system}, \
     bound patterns {patterns}, tools {tools} ({largest})"
)]
pub struct RomTooLarge {
    /// Tokens of all.
    pub total: u64,
    /// Tokens allowed.
    pub budget: u64,
    /// Tokens of the system prompt.
    pub system: u64,
    /// Tokens of the bound patterns.
    pub patterns: u64,
    /// Tokens of the tools.
    pub tools: u64,
    /// The largest tools by name and tokens.
    pub largest: String,
}

impl Rom {
    /// Puts a ROM together: the system prompt, the texts of bound patterns, the tools.
    pub fn new(
        system_prompt: &str,
        patterns: &[String],
        tools: Arc<[ToolDefinition]>,
        budget: u64,
    ) -> Result<Self, RomTooLarge> {
        let mut system = system_prompt.trim_end().to_owned();
        for pattern in patterns {
            system.push_str("\n\n");
            system.push_str(pattern.trim_end());
        }
        let tool_tokens: u64 = tools.iter().map(estimate_tool).sum();
        let tokens = estimate_text(&system) + tool_tokens;
        if tokens > budget {
            let system = estimate_text(system_prompt);
            let patterns = patterns.iter().map(|pattern| estimate_text(pattern)).sum();
            let largest = largest(&tools);
            return Err(RomTooLarge { total: tokens, budget, system, patterns, tools: tool_tokens, largest });
        }
        let shown: Vec<_> =
            tools.iter().map(|tool| (&tool.name, &tool.description, &tool.input_schema)).collect();
        let digest = Digest::of_json(&serde_json::json!({ "system": system, "tools": shown }));
        Ok(Self { system: system.into(), tools, tokens, digest })
    }
}

fn largest(tools: &[ToolDefinition]) -> String {
    const SHOWN: usize = 3;
    let mut sizes: Vec<_> = tools.iter().map(|tool| (estimate_tool(tool), &tool.name)).collect();
    sizes.sort_by(|a, b| b.cmp(a));
    let shown: Vec<_> = sizes.iter().take(SHOWN).map(|(tokens, name)| format!("{name} {tokens}")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rom_over_its_budget_says_what_is_large() {
        let tool = ToolDefinition {
            name: "query".into(),
            description: "x".repeat(300).into(),
            input_schema: serde_json::json!({"type": "object"}),
            role: None,
        };
        let error = Rom::new(&"y".repeat(30), &["z".repeat(60)], vec![tool].into(), 50).unwrap_err();
        assert_eq!((error.system, error.patterns), (10, 20));
        assert!(error.to_string().contains("query 1"), "{error}");
    }

    #[test]
    fn the_same_content_has_the_same_digest() {
        let rom = |text| Rom::new(text, &[], Vec::new().into(), 100).unwrap().digest;
        assert_eq!(rom("a"), rom("a"));
        assert_ne!(rom("a"), rom("b"));
    }
}
