//! Prepares a turn: what it is run by, fixed at this moment, so that no reload in the middle changes it.

use std::sync::Arc;
use std::time::Duration;

use loom_agent::{ApprovalTime, Backoff, HookPoint, Hooks, Limits, TurnConfig};
use loom_base::{Deadline, ErrorCode, SessionId, Timestamp, TraceId, TurnId};
use loom_llm::ContentBlock;
use loom_memory::beside;
use loom_store::{NewTurn, PatternUse, SessionRecord, TurnRecord};

use crate::build::Built;
use crate::core::{Core, Model};
use crate::pattern_text::pattern_text;
use crate::{Agent, AgentDefinition, Error, TurnRequest};

/// A turn that can be accepted.
pub(crate) struct Prepared {
    pub(crate) agent: Arc<Agent>,
    pub(crate) built: Arc<Built>,
    pub(crate) model: Model,
    pub(crate) config: TurnConfig,
    pub(crate) pattern: Option<PatternUse>,
    pub(crate) beside: Vec<ContentBlock>,
    pub(crate) trace: TraceId,
    pub(crate) at: Timestamp,
}

impl Prepared {
    /// Prepares `request` for `agent` in a session that may be stored; an error means that nothing was stored.
    pub(crate) fn new(
        core: &Core,
        agent: Arc<Agent>,
        turn: TurnId,
        request: &TurnRequest,
        asked_at: Timestamp,
        session: Option<&SessionRecord>,
    ) -> Result<Self, Error> {
        let built = core.agents.built(&agent)?;
        let model = model_in(core, &agent.definition, session)?;
        let at = core.clock.now();
        let deadline = request.timeout.map(|time| asked_at + time);
        if let Some(time) = request.timeout.filter(|time| asked_at + *time <= at) {
            return Err(time_over(time));
        }
        let mut hooks = built.hooks.entries();
        if session.is_some_and(|session| session.next_message > 0) {
            hooks.remove(HookPoint::SessionStart);
        }
        let chosen = choose_pattern(&agent.definition, &built, request)?;
        let text = chosen.as_ref().map(|(_, text)| text.as_str());
        let beside = beside(&[], &request.context, text, agent.definition.memory.kernel);
        Ok(Self {
            config: turn_config(&agent.definition, request, deadline, hooks),
            pattern: chosen.map(|(used, _)| used),
            trace: request.trace.as_ref().map_or_else(|| TraceId::of_turn(turn), |(trace, _)| *trace),
            beside,
            agent,
            built,
            model,
            at,
        })
    }

    /// Prepares a turn that was accepted before a stop, by what it was accepted with.
    pub(crate) fn again(core: &Core, agent: Arc<Agent>, turn: &TurnRecord) -> Result<Self, Error> {
        let accepted = &turn.accepted;
        let built = core.agents.built(&agent)?;
        if built.rom.digest != accepted.rom {
            tracing::warn!(turn.id = %turn.id, "a turn goes on with another fixed context than it began with");
        }
        let mut definition = AgentDefinition::clone(&agent.definition);
        definition.llm.provider = Some(accepted.provider.clone());
        definition.llm.model = Some(accepted.model.clone());
        let model = core.model_of(&definition)?;
        Ok(Self {
            config: accepted.config.clone(),
            pattern: accepted.pattern.clone(),
            trace: accepted.trace,
            beside: Vec::new(),
            at: accepted.accepted_at,
            agent,
            built,
            model,
        })
    }

    /// The record of its acceptance.
    pub(crate) fn record(&self, request: &TurnRequest) -> NewTurn {
        NewTurn {
            agent: self.agent.id.clone(),
            agent_version: self.agent.version,
            rules_version: loom_agent::RULES_VERSION,
            config: self.config.clone(),
            rom: self.built.rom.digest,
            patterns: self.built.patterns.digest(),
            provider: self.model.provider_name.clone(),
            model: self.model.name.to_string(),
            trace: self.trace,
            parent_span: request.trace.as_ref().map(|(_, span)| span.clone()),
            pattern: self.pattern.clone(),
            accepted_at: self.at,
        }
    }
}

/// Prepares `request` for the session `id`, which may be stored.
pub(crate) fn prepare(
    core: &Core,
    id: &SessionId,
    stored: Option<&SessionRecord>,
    turn: TurnId,
    request: &TurnRequest,
    asked_at: Timestamp,
) -> Result<Prepared, Error> {
    let agent = match (stored, &request.agent) {
        (Some(record), _) if record.principal != request.principal.as_str() => {
            return Err(Error::session_not_found(id));
        }
        (Some(record), _) => agent_of(core, record, request)?,
        (None, Some(named)) => core.agents.get(named)?,
        (None, None) => core.agents.default_agent()?,
    };
    Prepared::new(core, agent, turn, request, asked_at, stored)
}

/// The session's agent; another one named in the request is an error.
fn agent_of(core: &Core, record: &SessionRecord, request: &TurnRequest) -> Result<Arc<Agent>, Error> {
    let mismatch = |message| Error::new(ErrorCode::SessionAgentMismatch, message);
    let own = core.agents.known(&record.agent).ok_or_else(|| {
        mismatch(format!("session {} belongs to agent {}, which no longer exists", record.id, record.agent))
    })?;
    let own = own.usable()?;
    if let Some(named) = &request.agent {
        let named = core.agents.get(named)?;
        if named.id != own.id {
            return Err(mismatch(format!(
                "session {} belongs to agent {:?}, not to {:?}; start a new session for that agent",
                record.id, own.definition.name, named.definition.name
            )));
        }
    }
    Ok(own)
}

/// The model of the session, when it is a fork with one of its own, or the agent's.
fn model_in(
    core: &Core,
    definition: &AgentDefinition,
    session: Option<&SessionRecord>,
) -> Result<Model, Error> {
    match session.and_then(SessionRecord::origin).and_then(|origin| origin.model) {
        None => core.model_of(definition),
        Some(model) => {
            let mut definition = AgentDefinition::clone(definition);
            definition.llm.model = Some(model);
            core.model_of(&definition)
        }
    }
}

pub(crate) fn time_over(time: Duration) -> Error {
    Error::new(ErrorCode::DeadlineExceeded, format!("the turn's time of {time:?} ran out"))
}

fn turn_config(
    definition: &AgentDefinition,
    request: &TurnRequest,
    deadline: Option<Deadline>,
    hooks: Hooks,
) -> TurnConfig {
    let (behavior, budget) = (&definition.behavior, &definition.budgets.turn);
    TurnConfig {
        limits: Limits {
            model_calls: request
                .max_rounds
                .map_or(behavior.max_turns, |rounds| rounds.min(behavior.max_turns)),
            tool_calls: behavior
                .max_tool_executions
                .min(u32::try_from(budget.tool_calls.unwrap_or(u64::MAX)).unwrap_or(u32::MAX)),
            calls_per_answer: behavior.max_iterations,
            time: Some(behavior.timeout.min(budget.time.unwrap_or(Duration::MAX))),
            tokens: budget.tokens,
            cost: budget.cost,
            deadline,
            ..Limits::default()
        },
        backoff: Backoff::default(),
        on_unknown: behavior.on_unknown,
        approval_time: ApprovalTime(definition.permissions.approval_time),
        hooks,
        on_exceeded: budget.on_exceeded,
    }
}

/// Patterns that are looked at for one that the agent can use.
const CONSIDERED: usize = 20;

/// The pattern to put beside the message, and its text: the forced one, or the best that fits well enough.
fn choose_pattern(
    definition: &AgentDefinition,
    built: &Built,
    request: &TurnRequest,
) -> Result<Option<(PatternUse, String)>, Error> {
    if let Some(name) = &request.force_pattern {
        let pattern = built.patterns.get(name).ok_or_else(|| {
            Error::new(
                ErrorCode::PatternNotFound,
                format!("no pattern is called {name:?}; `looms pattern list` shows all"),
            )
        })?;
        return Ok(Some((PatternUse { name: name.clone(), confidence: 1.0 }, pattern_text(pattern))));
    }
    if !definition.patterns.enabled {
        return Ok(None);
    }
    let found = built.patterns.search(&request.query, CONSIDERED);
    let best = found.into_iter().find(|found| built.can_use(&found.pattern));
    let fits = best.filter(|found| found.confidence >= definition.patterns.min_confidence);
    Ok(fits.map(|found| {
        let name = found.pattern.name.clone();
        (PatternUse { name, confidence: found.confidence }, pattern_text(&found.pattern))
    }))
}
