//! What is sent to a model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use loom_base::{AgentId, Deadline, EffectId, SessionId, TraceId};

use crate::Message;

/// One call of a model. Cheap to clone: its large parts are shared.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// The provider's name of the model.
    pub model: Arc<str>,
    /// The system prompt; empty for none.
    pub system: Arc<str>,
    /// The conversation, oldest first. The first message is the user's; roles need not alternate.
    pub messages: Vec<Arc<Message>>,
    /// The tools the model may call.
    pub tools: Arc<[ToolDefinition]>,
    /// The most tokens it may generate.
    pub max_output_tokens: u32,
    /// How it chooses among likely tokens.
    pub sampling: Sampling,
    /// On whose behalf the call is made.
    pub context: CallContext,
}

/// How a model chooses among likely tokens; `None` leaves it to the provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy; providers accept up to 1 or 2.
    pub temperature: Option<f32>,
    /// Nucleus sampling: the share of probability to draw from.
    pub top_p: Option<f32>,
    /// Draw from this many likeliest tokens.
    pub top_k: Option<u32>,
    /// Texts that end the answer.
    pub stop_sequences: Vec<String>,
}

/// A tool as every provider sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Unique within the request; letters, digits, `_` and `-`, at most 64 of them.
    pub name: Arc<str>,
    /// What it does and when to use it.
    pub description: Arc<str>,
    /// The JSON Schema (draft 2020-12) of its arguments: an object.
    pub input_schema: Value,
    /// The part it plays among an agent's tools, when it plays a known one. Not sent to models.
    pub role: Option<ToolRole>,
}

/// A part that a tool can play, so that a program without a language model can find its way too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolRole {
    /// Ranks the patterns that fit a question.
    SearchPatterns,
    /// Shows one pattern whole.
    LoadPattern,
    /// Lists what a backend holds.
    ListResources,
    /// Shows the columns and keys of a backend's tables.
    Schema,
    /// Shows a few rows of a table.
    Sample,
    /// Fills a pattern's template and runs it.
    RunPattern,
    /// Runs a query written by the caller.
    Query,
    /// Asks the user.
    AskUser,
}

/// On whose behalf a model is called, for deadlines, traces and logs. Never sent as content.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The effect that asked for the call.
    pub effect: EffectId,
    /// Its session.
    pub session: SessionId,
    /// Its agent.
    pub agent: AgentId,
    /// Its trace.
    pub trace: TraceId,
    /// When the caller gives up.
    pub deadline: Option<Deadline>,
}
