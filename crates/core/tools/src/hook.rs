//! What runs at fixed points of a turn, whatever the model wants: the [`Hook`] trait and what it is told and answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use loom_base::{AgentId, CallId, EffectId, SessionId, TurnId};

use crate::{EffectClass, ToolContext, ToolError};

/// Where hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPoint {
    /// Before the first model call of a session's first turn.
    SessionStart,
    /// Before the first model call of a turn.
    TurnStart,
    /// Before each answer is asked for; not again when that is tried again.
    BeforeModel,
    /// After each answer, before its tool calls or the end of the turn.
    AfterModel,
    /// After the tool calls of an answer.
    AfterTools,
}

impl HookPoint {
    /// Every point, in the order a turn comes to them.
    pub const ALL: [Self; 5] =
        [Self::SessionStart, Self::TurnStart, Self::BeforeModel, Self::AfterModel, Self::AfterTools];

    /// The point's name as it is written, stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionStart => "session_start",
            Self::TurnStart => "turn_start",
            Self::BeforeModel => "before_model",
            Self::AfterModel => "after_model",
            Self::AfterTools => "after_tools",
        }
    }
}

/// What a hook that fails means for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The turn goes on; its journal says that the hook failed.
    Open,
    /// The turn ends, as if the hook had denied it.
    #[default]
    Closed,
}

/// What a hook declares of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSpec {
    /// Its name, unique among the hooks of an agent.
    pub name: Arc<str>,
    /// Where it runs.
    pub points: BTreeSet<HookPoint>,
    /// What it does to the world, and so what may be done after a crash.
    pub effect: EffectClass,
    /// How long one run may take.
    pub timeout: Duration,
    /// What it means when it fails.
    pub on_failure: OnFailure,
}

/// A message that a hook is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookMessage {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// What was said, without secrets and personal data; a long one is cut.
    pub text: String,
}

/// A tool call that a hook is told of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookCall {
    /// The model's name for it.
    pub id: CallId,
    /// The tool.
    pub tool: Arc<str>,
    /// What it does to the world.
    pub class: EffectClass,
    /// Its arguments, without secrets and personal data.
    pub arguments: Value,
    /// What became of it, once it has a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Its result, without secrets and personal data; a long one is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// What a hook is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookInput {
    /// Where the turn is.
    pub point: HookPoint,
    /// The hook's own name.
    pub hook: Arc<str>,
    /// This run, the same when it is repeated after a crash; what an idempotent hook sends downstream as its key.
    #[serde(serialize_with = "as_text")]
    pub effect: EffectId,
    /// The session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// The agent.
    pub agent: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// The messages it is about: before a model call the turn's texts so far, after it the answer.
    pub messages: Vec<HookMessage>,
    /// The calls it is about: after a model call those it asks for, after tools those that ran, with their results.
    pub calls: Vec<HookCall>,
}

fn as_text<S: Serializer>(effect: &EffectId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(effect)
}

/// What a hook answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum HookAnswer {
    /// The turn goes on.
    Continue {},
    /// The turn goes on, and the model reads a text with its next request.
    Annotate {
        /// The text.
        text: String,
    },
    /// The turn ends without an answer.
    Deny {
        /// Why, for whoever asked.
        reason: String,
    },
}

/// Something that runs at fixed points of a turn.
///
/// Of class [`EffectClass::Unsafe`] it is started at most once for each effect; pure and idempotent ones run again after a
/// crash, under the same effect id.
#[async_trait]
pub trait Hook: Send + Sync {
    /// What it declares.
    fn spec(&self) -> &HookSpec;

    /// Runs once. A hook whose `context` is cancelled stops its work and returns, as a tool does.
    async fn run(&self, input: HookInput, context: ToolContext) -> Result<HookAnswer, ToolError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_is_documented() {
        let read = |text: &str| serde_json::from_str::<HookAnswer>(text);
        assert_eq!(read(r#"{"answer":"continue"}"#).unwrap(), HookAnswer::Continue {});
        let note = HookAnswer::Annotate { text: "careful".into() };
        assert_eq!(read(r#"{"answer":"annotate","text":"careful"}"#).unwrap(), note);
        let no = HookAnswer::Deny { reason: "no".into() };
        assert_eq!(read(r#"{"answer":"deny","reason":"no"}"#).unwrap(), no);
        for odd in [
            r#"{"answer":"deny"}"#,
            r#"{"answer":"allow"}"#,
            r#"{"answer":"continue","text":"x"}"#,
            "{}",
            "1",
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_point_is_stored_under_its_name() {
        for point in HookPoint::ALL {
            assert_eq!(serde_json::to_value(point).unwrap(), point.as_str());
        }
    }
}
