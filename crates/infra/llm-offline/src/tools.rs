//! The tools it works through, found by the part they play.

use loom_llm::{ToolDefinition, ToolRole};

/// What shows a backend's schema and runs patterns on it.
#[derive(Clone, Copy)]
pub(crate) struct Backend<'a> {
    pub(crate) schema: &'a ToolDefinition,
    pub(crate) run: &'a ToolDefinition,
}

/// The tools of an agent; backends without a schema or without runs are of no use and left out.
pub(crate) struct Tools<'a> {
    pub(crate) search: &'a ToolDefinition,
    pub(crate) backends: Vec<Backend<'a>>,
}

impl<'a> Tools<'a> {
    /// The tools that play the parts needed; `None` when one part is not played.
    pub(crate) fn find(tools: &'a [ToolDefinition]) -> Option<Self> {
        let search = with(tools, ToolRole::SearchPatterns).next()?;
        let pair = |schema: &'a ToolDefinition| {
            let label = label(schema);
            let is_same = |tool: &&ToolDefinition| self::label(tool) == label;
            let mut runs = with(tools, ToolRole::RunPattern).filter(is_same);
            let run = runs.next().filter(|_| runs.next().is_none())?;
            let is_alone = with(tools, ToolRole::Schema).filter(is_same).count() == 1;
            is_alone.then_some(Backend { schema, run })
        };
        let backends: Vec<_> = with(tools, ToolRole::Schema).filter_map(pair).collect();
        (!backends.is_empty()).then_some(Self { search, backends })
    }
}

fn with(tools: &[ToolDefinition], role: ToolRole) -> impl Iterator<Item = &ToolDefinition> {
    tools.iter().filter(move |tool| tool.role == Some(role))
}

/// What tells the backends of an agent apart: the end of a tool's name, after that of its role. `None` for a name that
/// is made otherwise.
fn label(tool: &ToolDefinition) -> Option<&str> {
    match tool.role? {
        ToolRole::Schema => tool.name.strip_prefix("schema"),
        ToolRole::RunPattern => tool.name.strip_prefix("run_pattern"),
        ToolRole::SearchPatterns
        | ToolRole::LoadPattern
        | ToolRole::ListResources
        | ToolRole::Sample
        | ToolRole::Query
        | ToolRole::AskUser => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs found among tools of these names; `search` is always there.
    fn pairs(names: &[(&str, ToolRole)]) -> Vec<(String, String)> {
        let all = names.iter().chain(&[("search", ToolRole::SearchPatterns)]);
        let tools: Vec<ToolDefinition> = all
            .map(|(name, role)| ToolDefinition {
                name: (*name).into(),
                description: "A tool.".into(),
                input_schema: serde_json::json!({"type": "object"}),
                role: Some(*role),
            })
            .collect();
        let found = Tools::find(&tools).map(|tools| tools.backends).unwrap_or_default();
        found.iter().map(|backend| (backend.schema.name.to_string(), backend.run.name.to_string())).collect()
    }

    #[test]
    fn tools_of_one_backend_are_paired_whatever_the_order() {
        use ToolRole::{RunPattern, Schema};
        let found = pairs(&[
            ("schema_archive", Schema),
            ("schema_music", Schema),
            ("run_pattern_shop", RunPattern),
            ("run_pattern_music", RunPattern),
        ]);
        assert_eq!(found, [("schema_music".into(), "run_pattern_music".into())]);
        assert_eq!(pairs(&[("schema_a", Schema), ("run_pattern_b", RunPattern)]), []);
        assert_eq!(pairs(&[("schema", Schema), ("run_pattern", RunPattern)]).len(), 1);
    }

    #[test]
    fn tools_of_unknown_names_are_paired_only_when_there_is_no_choice() {
        use ToolRole::{RunPattern, Schema};
        assert_eq!(pairs(&[("x", Schema), ("y", RunPattern)]).len(), 1);
        assert_eq!(pairs(&[("x", Schema), ("y", RunPattern), ("z", RunPattern)]), []);
        assert_eq!(pairs(&[("x", Schema), ("w", Schema), ("y", RunPattern)]), []);
    }
}
