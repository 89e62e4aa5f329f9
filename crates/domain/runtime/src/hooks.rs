//! The hooks of an agent: which there are, how one is run, and what its answer means for the turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use loom_agent::{EventKind, HookEntry, HookOutcome, HookSaid, Hooks};
use loom_base::{Clock, ErrorCode};
use loom_llm::ToolDefinition;
use loom_telemetry::redact;
use loom_tools::{
    EffectClass, Hook, HookAnswer, HookInput, OnFailure, Tool, ToolContext, ToolError, ToolOutput, ToolSpec,
};

use crate::tool_call::{self, Ended};
use crate::{Error, HookDefinition};

/// Bytes of an annotation that the model is shown.
const MOST_NOTE_BYTES: usize = 8_192;
/// Bytes of a reason or an error that are kept.
const MOST_REASON_BYTES: usize = 1_024;

/// Makes the hooks that agents define.
pub trait HookMaker: Send + Sync {
    /// The hook of that definition; an error says what of it cannot be used. What it needs at work, such as a service or
    /// a secret, is not looked at.
    fn make(&self, definition: &HookDefinition) -> Result<Arc<dyn Hook>, Error>;
}

/// The hooks of one agent, in the order they run.
#[derive(Clone, Default)]
pub(crate) struct HookSet(Vec<Arc<dyn Hook>>);

impl HookSet {
    /// The set of `hooks`. Two of one name, one that runs nowhere and a transactional one are refused.
    pub(crate) fn new(hooks: Vec<Arc<dyn Hook>>) -> Result<Self, Error> {
        let invalid = |message: String| Err(Error::new(ErrorCode::InvalidConfig, message));
        let mut names = BTreeSet::new();
        for hook in &hooks {
            let spec = hook.spec();
            let name = &spec.name;
            if !names.insert(Arc::clone(name)) {
                return invalid(format!("two hooks are called {name:?}; give one another `name`"));
            }
            if spec.points.is_empty() {
                return invalid(format!("the hook {name:?} runs at no point"));
            }
            if spec.effect == EffectClass::Transactional {
                return invalid(format!(
                    "the hook {name:?} says it is transactional, and no hook can hand over changes to commit; declare \
                     it idempotent or unsafe"
                ));
            }
        }
        Ok(Self(hooks))
    }

    /// The hook of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn Hook>> {
        self.0.iter().find(|hook| *hook.spec().name == *name)
    }

    /// What a turn is to know of them.
    pub(crate) fn entries(&self) -> Hooks {
        let mut hooks = Hooks::default();
        for hook in &self.0 {
            let spec = hook.spec();
            for point in &spec.points {
                let name = Arc::clone(&spec.name);
                hooks.add(*point, HookEntry { name, class: spec.effect, on_failure: spec.on_failure });
            }
        }
        hooks
    }
}

/// One run of a hook as a tool call: times, retries, stops and panics are seen to in one place.
struct Run {
    hook: Arc<dyn Hook>,
    input: HookInput,
    spec: ToolSpec,
}

#[async_trait]
impl Tool for Run {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _: Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        let answer = self.hook.run(self.input.clone(), context).await?;
        let encoded = serde_json::to_value(answer)
            .map_err(|error| ToolError::failed(ErrorCode::Internal, error.to_string()))?;
        Ok(ToolOutput::new(encoded))
    }
}

/// Runs `hook` once, or more often where repeating is harmless and it was not available.
pub(crate) async fn run(
    hook: Arc<dyn Hook>,
    input: HookInput,
    context: ToolContext,
    clock: Arc<dyn Clock>,
) -> Ended {
    let spec = hook.spec();
    let definition = ToolDefinition {
        name: Arc::clone(&spec.name),
        description: "".into(),
        input_schema: Value::Null,
        role: None,
    };
    let (effect, timeout) = (spec.effect, spec.timeout);
    let spec = ToolSpec { definition, effect, timeout, backend: None };
    tool_call::run(Arc::new(Run { hook, input, spec }), Value::Null, context, clock).await
}

/// What the end of a hook's run means for its turn.
pub(crate) fn done(effect: u32, entry: &HookEntry, ended: Ended) -> EventKind {
    let (outcome, text) = match ended {
        Ended::Known(Ok(output)) => match serde_json::from_value(output.data) {
            Ok(HookAnswer::Continue {}) => return EventKind::HookDone { effect, proceed: true, said: None },
            Ok(HookAnswer::Annotate { text }) => (HookOutcome::Annotated, cut(text, MOST_NOTE_BYTES)),
            Ok(HookAnswer::Deny { reason }) => (HookOutcome::Denied, cut(reason, MOST_REASON_BYTES)),
            Err(error) => (HookOutcome::Failed, error.to_string()),
        },
        Ended::Known(Err(error)) => (HookOutcome::Failed, failure(&error)),
        Ended::Unknown(error) => (HookOutcome::Unknown, failure(&error)),
    };
    let proceed = match outcome {
        HookOutcome::Annotated => true,
        HookOutcome::Denied => false,
        HookOutcome::Failed | HookOutcome::Unknown => entry.on_failure == OnFailure::Open,
    };
    EventKind::HookDone { effect, proceed, said: Some(HookSaid { outcome, text: text.into() }) }
}

/// A hook that must not run twice and was out when the server stopped: whether it took effect is not known.
pub(crate) fn cut_off(effect: u32, entry: &HookEntry) -> EventKind {
    let message = "the server stopped while it ran; it is not run again, for it may have taken effect";
    done(effect, entry, Ended::Unknown(ToolError::interrupted(ErrorCode::ToolFailed, message)))
}

fn failure(error: &ToolError) -> String {
    cut(format!("{}: {}", error.code, redact(&error.message)), MOST_REASON_BYTES)
}

/// At most `most` bytes of `text`.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
