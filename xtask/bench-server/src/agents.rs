//! The agents: the first is called `default`, the others are numbered.

use std::sync::Arc;

use anyhow::Result;
use loom_embed::runtime::{AgentDefinition, Runtime};

/// The backend of the agents, where there is one.
pub(crate) const BACKEND: &str = "orders";

/// What agents are made of.
pub(crate) struct Agents {
    backends: Vec<String>,
}

impl Agents {
    /// Agents that may query the database, if there `is_one`.
    pub(crate) fn new(is_one: bool) -> Self {
        Self { backends: is_one.then(|| BACKEND.to_owned()).into_iter().collect() }
    }

    /// The agent that answers who names none.
    pub(crate) fn first(&self) -> AgentDefinition {
        self.numbered(0)
    }

    fn numbered(&self, number: usize) -> AgentDefinition {
        let name = if number == 0 { "default".to_owned() } else { format!("bench-agent-{number}") };
        let system_prompt = format!("Benchmark agent {number}");
        AgentDefinition { backends: self.backends.clone(), system_prompt, ..AgentDefinition::named(name) }
    }

    /// Adds and removes agents until there are `number`.
    pub(crate) async fn set_number(&self, runtime: &Arc<Runtime>, number: usize) -> Result<()> {
        let there = runtime.agents().list().len();
        for missing in there..number {
            runtime.agents().create(self.numbered(missing)).await?;
        }
        for superfluous in number..there {
            let agent = runtime.agents().get(&self.numbered(superfluous).name)?;
            runtime.agents().delete(&agent.id).await?;
        }
        Ok(())
    }
}
