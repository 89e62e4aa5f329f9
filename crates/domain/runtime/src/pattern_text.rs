//! A pattern as a model reads it beside a message or in its system prompt.

use std::fmt::Write as _;

use loom_patterns::Pattern;

/// The pattern in Markdown: what it does, what it needs, how to run it, what to watch for.
pub(crate) fn pattern_text(pattern: &Pattern) -> String {
    let mut text = format!("Pattern `{}`", pattern.name);
    // Writing to a String cannot fail.
    if !pattern.title.is_empty() {
        let _ = write!(text, " ({})", pattern.title);
    }
    let _ = writeln!(text, ": {}", pattern.description.trim_end());
    for parameter in &pattern.parameters {
        let need = if parameter.required { "required" } else { "optional" };
        let kind = &parameter.kind_text;
        let _ = writeln!(text, "- {} ({kind}, {need}): {}", parameter.name, parameter.description.trim_end());
    }
    if pattern.is_executable() {
        let _ = writeln!(text, "Run it with run_pattern; it binds the parameters and joins the tables.");
    } else {
        for (key, template) in &pattern.templates {
            let _ = writeln!(text, "Template {key}:\n{}", template.content.trim_end());
        }
    }
    if let Some(rule) = &pattern.rule {
        let _ = writeln!(text, "When {}: {} ({})", rule.condition, rule.action, rule.rationale);
    }
    if let Some(advice) = &pattern.best_practices {
        let _ = writeln!(text, "{}", advice.trim_end());
    }
    text
}
