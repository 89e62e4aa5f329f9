//! The tools that a backend becomes for an agent.

mod call;
mod listing;
mod spec;

use std::sync::Arc;

use loom_llm::ToolRole;
use loom_patterns::Source;
use loom_tools::Tool;

use crate::{ExecutionBackend, QueryLimits};

/// The tools by the names they have when an agent has one backend.
pub(crate) const BACKEND_TOOLS: [(&str, ToolRole); 5] = [
    ("list_tables", ToolRole::ListResources),
    ("schema", ToolRole::Schema),
    ("sample", ToolRole::Sample),
    ("query", ToolRole::Query),
    ("run_pattern", ToolRole::RunPattern),
];

/// The tools `list_tables`, `schema`, `sample`, `query` and `run_pattern` over `backend`, each name followed by
/// `_suffix` when an agent has several backends. `limits` bound every query; `patterns` is where `run_pattern` looks.
/// Tools that the backend does not offer are left out.
///
/// On a backend that refuses every change all of them are pure; else `query` and `run_pattern` are unsafe.
pub fn backend_tools(
    backend: Arc<dyn ExecutionBackend>,
    suffix: Option<&str>,
    patterns: Arc<dyn Source>,
    limits: QueryLimits,
) -> Vec<Arc<dyn Tool>> {
    let desk = Arc::new(call::Desk { backend, patterns, limits });
    BACKEND_TOOLS
        .iter()
        .filter(|(_, role)| desk.backend.capabilities().offers(*role))
        .map(|(name, role)| {
            let spec = spec::spec(&*desk.backend, name, *role, suffix, limits);
            Arc::new(call::BackendTool { spec, role: *role, desk: Arc::clone(&desk) }) as Arc<dyn Tool>
        })
        .collect()
}

#[cfg(test)]
mod tests;
