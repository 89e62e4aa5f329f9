//! What a turn needs of an agent: its tools and its fixed context, built from a definition, the patterns and the
//! backends of one moment.

use std::sync::Arc;

use async_trait::async_trait;

use loom_base::{ErrorCode, nearest};
use loom_fabric::{Backends, Dialect, QueryLimits, backend_tools};
use loom_llm::ToolDefinition;
use loom_memory::Rom;
use loom_patterns::{Pattern, ReloadReport, Snapshot, Source, pattern_tools};
use loom_tools::{EffectClass, Hook, Tool, ToolSet};

use crate::ask_user::AskUser;
use crate::hooks::HookSet;
use crate::pattern_text::pattern_text;
use crate::{AgentDefinition, Error, HookMaker};

/// An agent's tools and fixed context. A turn keeps the one it started with.
pub struct Built {
    /// The patterns that its tools search and run.
    pub patterns: Arc<Snapshot>,
    /// Its tools.
    pub tools: ToolSet,
    /// What models see of them.
    pub definitions: Arc<[ToolDefinition]>,
    /// Its fixed context.
    pub rom: Arc<Rom>,
    /// The engines of its backends.
    pub(crate) dialects: Vec<Dialect>,
    /// What runs at fixed points of its turns.
    pub(crate) hooks: HookSet,
    pub(crate) generation: u64,
}

impl Built {
    /// Whether `pattern` is for what the agent works with. One that names no engine is for all, and an agent
    /// without backends may read about any.
    pub fn can_use(&self, pattern: &Pattern) -> bool {
        let Some(engine) = &pattern.backend_type else { return true };
        self.dialects.is_empty() || self.dialects.iter().any(|dialect| dialect.as_str() == engine)
    }
}

/// What agents are built with, beside their definitions.
pub(crate) struct Ingredients<'a> {
    pub(crate) backends: &'a dyn Backends,
    pub(crate) extra_tools: &'a [Arc<dyn Tool>],
    pub(crate) extra_hooks: &'a [Arc<dyn Hook>],
    pub(crate) hook_maker: &'a dyn HookMaker,
}

/// One snapshot for good: a turn's tools do not see a reload.
struct Fixed(Arc<Snapshot>);

#[async_trait]
impl Source for Fixed {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0)
    }

    async fn reload(&self) -> ReloadReport {
        ReloadReport { loaded: self.0.len(), ..ReloadReport::default() }
    }
}

pub(crate) fn build(
    definition: &AgentDefinition,
    patterns: Arc<Snapshot>,
    generation: u64,
    ingredients: &Ingredients<'_>,
) -> Result<Built, Error> {
    let offered = offered_tools(definition, &patterns, ingredients)?;
    let tools = chosen_tools(definition, offered)?;
    let definitions = tools.definitions();
    let bound = bound_patterns(definition, &patterns)?;
    let rom = Rom::new(&definition.system_prompt, &bound, Arc::clone(&definitions), definition.memory.rom)
        .map_err(|error| Error::new(ErrorCode::InvalidArgument, error.to_string()))?;
    let backends = definition.backends.iter().filter_map(|name| ingredients.backends.get(name));
    let dialects = backends.map(|backend| backend.capabilities().dialect).collect();
    let hooks = hooks(definition, ingredients)?;
    Ok(Built { patterns, tools, definitions, rom: Arc::new(rom), dialects, hooks, generation })
}

/// The embedding program's hooks, then the agent's own.
fn hooks(definition: &AgentDefinition, ingredients: &Ingredients<'_>) -> Result<HookSet, Error> {
    let own = definition.hooks.iter().map(|hook| ingredients.hook_maker.make(hook));
    let all = ingredients.extra_hooks.iter().cloned().map(Ok).chain(own).collect::<Result<_, _>>()?;
    HookSet::new(all)
}

/// Every tool the agent could have: its backends', the patterns', the embedding program's.
fn offered_tools(
    definition: &AgentDefinition,
    patterns: &Arc<Snapshot>,
    ingredients: &Ingredients<'_>,
) -> Result<Vec<Arc<dyn Tool>>, Error> {
    let source: Arc<dyn Source> = Arc::new(Fixed(Arc::clone(patterns)));
    let mut tools = pattern_tools(Arc::clone(&source));
    let several = definition.backends.len() > 1;
    for name in &definition.backends {
        let backend = ingredients.backends.get(name).ok_or_else(|| {
            let known = ingredients.backends.names();
            let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            Error::new(ErrorCode::BackendNotFound, format!("no backend is called {name:?}; known: {known}"))
        })?;
        let suffix = several.then_some(name.as_str());
        tools.extend(backend_tools(backend, suffix, Arc::clone(&source), QueryLimits::default()));
    }
    tools.extend(ingredients.extra_tools.iter().cloned());
    if definition.behavior.ask_user {
        tools.push(Arc::new(AskUser::new()));
    }
    Ok(tools)
}

fn chosen_tools(definition: &AgentDefinition, offered: Vec<Arc<dyn Tool>>) -> Result<ToolSet, Error> {
    let invalid = |message: String| Error::new(ErrorCode::InvalidArgument, message);
    let chosen = match &definition.tools {
        None => offered,
        Some(wanted) => {
            let names: Vec<_> = offered.iter().map(|tool| tool.spec().definition.name.to_string()).collect();
            if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
                let hint = nearest(unknown, names.iter().map(String::as_str)).map_or_else(
                    || format!("there are {}", names.join(", ")),
                    |name| format!("did you mean {name:?}?"),
                );
                return Err(invalid(format!("no tool is called {unknown:?}; {hint}")));
            }
            let is_wanted =
                |tool: &Arc<dyn Tool>| wanted.iter().any(|name| **name == *tool.spec().definition.name);
            offered.into_iter().filter(is_wanted).collect()
        }
    };
    for tool in &chosen {
        let spec = tool.spec();
        if spec.effect == EffectClass::Transactional {
            let name = &spec.definition.name;
            return Err(invalid(format!(
                "the tool {name:?} says it is transactional, and no tool can hand over changes to commit yet; declare it \
                 idempotent or unsafe"
            )));
        }
    }
    for name in definition.permissions.tools.keys() {
        let holds = |tool: &Arc<dyn Tool>| crate::permissions::names(name, &tool.spec().definition.name);
        if !chosen.iter().any(holds) {
            let names = chosen.iter().map(|tool| &*tool.spec().definition.name);
            let hint =
                nearest(name, names).map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            return Err(invalid(format!(
                "`permissions` names {name:?}, which is none of the agent's tools{hint}"
            )));
        }
    }
    ToolSet::new(chosen).map_err(|error| invalid(error.to_string()))
}

fn bound_patterns(definition: &AgentDefinition, patterns: &Snapshot) -> Result<Vec<String>, Error> {
    let text = |name: &String| {
        let pattern = patterns.get(name).ok_or_else(|| {
            Error::new(
                ErrorCode::PatternNotFound,
                format!("the agent binds pattern {name:?}, which does not exist"),
            )
        })?;
        Ok(pattern_text(pattern))
    };
    definition.patterns.bound.iter().map(text).collect()
}
