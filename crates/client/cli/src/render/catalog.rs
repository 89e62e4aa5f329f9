//! Agents, patterns and tools.

use std::io::{self, Write};

use loom_proto::v1::{AgentInfo, Pattern, ToolDefinition};

use super::amounts::{count, moment};
use super::columns::{Columns, Fields};
use super::text::{Tone, clean};
use super::turn::model;
use crate::Style;

pub(crate) fn agents(agents: &[AgentInfo], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Columns::new(["NAME", "STATUS", "MODEL", "SESSIONS", "ID", "DESCRIPTION"]);
    for agent in agents {
        let sessions = count(agent.active_sessions.into());
        let description = agent.config.as_ref().map_or("", |config| &config.description);
        table.row([&agent.name, &agent.status, &model_of(agent), &sessions, &agent.id, description]);
    }
    table.write(out, style, "no agents")
}

pub(crate) fn agent(agent: &AgentInfo, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut fields = Fields::default();
    fields.add("name", &agent.name);
    fields.add("id", &agent.id);
    fields.add("status", &agent.status);
    fields.add("error", &agent.error);
    fields.add("model", &model_of(agent));
    let config = agent.config.clone().unwrap_or_default();
    fields.add("description", &config.description);
    fields.add("backends", &config.backends.join(", "));
    fields.add("tools", &config.tools.unwrap_or_default().builtin.join(", "));
    fields.add("active sessions", &count(agent.active_sessions.into()));
    fields.add("messages", &count(agent.total_messages));
    fields.add("created", &moment(agent.created_at));
    fields.add("changed", &moment(agent.updated_at));
    fields.write(out, style)?;
    block("system prompt", &config.system_prompt, style, out)
}

fn model_of(agent: &AgentInfo) -> String {
    let llm = agent.config.as_ref().and_then(|config| config.llm.as_ref());
    llm.map(|llm| model(&llm.provider, &llm.model)).unwrap_or_default()
}

pub(crate) fn patterns(patterns: &[Pattern], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Columns::new(["NAME", "LIBRARY", "CATEGORY", "DESCRIPTION"]);
    for pattern in patterns {
        table.row([&pattern.name, &pattern.domain, &pattern.category, &pattern.description]);
    }
    table.write(out, style, "no patterns")
}

/// Patterns that were found for a question, best first.
pub(crate) fn found_patterns(patterns: &[Pattern], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Columns::new(["NAME", "CONFIDENCE", "LIBRARY", "DESCRIPTION"]);
    for pattern in patterns {
        let confidence = pattern.backend_hints.get("confidence").map_or("", String::as_str);
        table.row([&pattern.name, confidence, &pattern.domain, &pattern.description]);
    }
    table.write(out, style, "no pattern fits")
}

pub(crate) fn pattern(pattern: &Pattern, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut fields = Fields::default();
    fields.add("name", &pattern.name);
    fields.add("library", &pattern.domain);
    fields.add("category", &pattern.category);
    fields.add("backend", pattern.backend_hints.get("backend_type").map_or("", String::as_str));
    fields.add("tags", &pattern.tags.join(", "));
    fields.write(out, style)?;
    block("description", &pattern.description, style, out)?;
    if !pattern.parameters.is_empty() {
        let mut table = Columns::new(["PARAMETER", "KIND", "NEEDED", "DEFAULT", "DESCRIPTION"]);
        for parameter in &pattern.parameters {
            let needed = if parameter.required { "yes" } else { "no" };
            let default = &parameter.default_value;
            table.row([&parameter.name, &parameter.r#type, needed, default, &parameter.description]);
        }
        writeln!(out)?;
        table.write(out, style, "")?;
    }
    let mut hints: Vec<_> = pattern.backend_hints.iter().collect();
    hints.sort();
    for (name, content) in hints {
        if let Some(template) = name.strip_prefix("template.") {
            block(&format!("template {}", clean(template)), content, style, out)?;
        }
    }
    for example in &pattern.examples {
        let text = [&example.description, &example.input, &example.output];
        let text: Vec<_> = text.into_iter().filter(|text| !text.is_empty()).map(String::as_str).collect();
        block("example", &text.join("\n"), style, out)?;
    }
    Ok(())
}

pub(crate) fn tools(tools: &[ToolDefinition], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Columns::new(["NAME", "BACKENDS", "DESCRIPTION"]);
    for tool in tools {
        table.row([&tool.name, &tool.backends.join(", "), &tool.description]);
    }
    table.write(out, style, "no tools")
}

/// A text of several lines under a heading; nothing when it is empty.
fn block(heading: &str, text: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if text.trim().is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.paint(Tone::Strong, heading))?;
    clean(text).trim_end().lines().try_for_each(|line| writeln!(out, "{}", format!("  {line}").trim_end()))
}
