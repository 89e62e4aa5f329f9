//! Drives agents: sessions, turns, tools, and the one door through which every request enters.
//!
//! It decides nothing that the turn machine decides, and knows no database, provider or protocol: those come in as
//! traits.

mod accept;
mod actor;
mod agent_file;
mod agents;
mod answer;
mod build;
mod core;
mod definition;
mod drive;
mod error;
mod feed;
mod model_call;
mod pattern_text;
mod request;
mod restore;
mod runtime;
mod sessions;
mod step;
mod tool_call;
mod trace;

pub use agent_file::{AgentFile, AgentFileError, AgentFileProblem, parse_agent};
pub use agents::{Agent, Agents, AgentsParts};
pub use build::Built;
pub use core::{ModelDefaults, RuntimeLimits};
pub use definition::{AgentDefinition, Behavior, LlmChoice, PatternChoice};
pub use error::Error;
pub use feed::{ContextUse, Feed, FeedItem, Progress, Running, TurnFailure, TurnReport, TurnResult};
pub use request::{MAX_QUERY_BYTES, TurnRequest};
pub use runtime::{Parts, Runtime};
pub use sessions::{History, SessionDraft, Sessions};
pub use trace::{Trace, TraceSpan, Traces};
