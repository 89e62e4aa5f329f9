//! The tools an agent is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;

use loom_llm::ToolDefinition;

use crate::Tool;

/// Why tools do not make a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolSetError {
    /// Two tools have one name.
    #[error("two tools are called {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A tool's argument schema is not a JSON Schema.
    #[error("the argument schema of tool {name:?} is not a JSON Schema: {problem}")]
    Schema {
        /// The tool.
        name: String,
        /// What is wrong with its schema.
        problem: String,
    },
}

/// An argument that does not fit its tool's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("argument {path}: {problem}")]
pub struct ArgumentError {
    /// Where, as a JSON Pointer; the whole object is `/`.
    pub path: String,
    /// What is wrong, in the terms of the schema.
    pub problem: String,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    arguments: Arc<Validator>,
}

/// An agent's tools by name. Fixed once built: a reload builds another.
#[derive(Clone, Default)]
pub struct ToolSet {
    tools: BTreeMap<Arc<str>, Entry>,
}

impl ToolSet {
    /// The set of `tools`. Their schemas are compiled here, once.
    pub fn new(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Result<Self, ToolSetError> {
        let mut set = Self::default();
        for tool in tools {
            let definition = &tool.spec().definition;
            let name = Arc::clone(&definition.name);
            let arguments = jsonschema::validator_for(&definition.input_schema).map_err(|error| {
                ToolSetError::Schema { name: name.to_string(), problem: error.to_string() }
            })?;
            let entry = Entry { tool, arguments: Arc::new(arguments) };
            if set.tools.insert(Arc::clone(&name), entry).is_some() {
                return Err(ToolSetError::Duplicate { name: name.to_string() });
            }
        }
        Ok(set)
    }

    /// The tool of exactly that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name).map(|entry| &entry.tool)
    }

    /// Checks `input` against the schema of the tool called `name`; a name that is not in the set has no schema.
    pub fn check_arguments(&self, name: &str, input: &Value) -> Result<(), ArgumentError> {
        let Some(entry) = self.tools.get(name) else { return Ok(()) };
        entry.arguments.validate(input).map_err(|error| {
            let path = error.instance_path().to_string();
            let path = if path.is_empty() { "/".to_owned() } else { path };
            ArgumentError { path, problem: error.to_string() }
        })
    }

    /// All tools, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.tools.values().map(|entry| &entry.tool)
    }

    /// What models see of them, by name.
    pub fn definitions(&self) -> Arc<[ToolDefinition]> {
        self.iter().map(|tool| tool.spec().definition.clone()).collect()
    }
}
