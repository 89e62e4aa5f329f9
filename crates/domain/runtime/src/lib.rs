//! Drives agents: sessions, turns, tools, and the one door through which every request enters.
//!
//! It decides nothing that the turn machine decides, and knows no database, provider or protocol: those come in as
//! traits.

mod accept;
mod actor;
mod agent_file;
mod agents;
mod answer;
mod ask_user;
mod budget_report;
mod budgets;
mod build;
mod close;
mod command;
mod core;
mod definition;
mod drive;
mod ending;
mod error;
mod feed;
mod fork;
mod hook_definition;
mod hooks;
mod lease;
mod model_call;
mod notes;
mod others;
mod pattern_text;
mod peers;
mod permissions;
mod queue;
mod request;
mod restore;
mod runtime;
mod sessions;
mod step;
mod story;
mod sync;
mod tool_call;
mod trace;
mod turns;
mod upkeep;

pub use actor::MOST_STALLED;
pub use agent_file::{AgentFile, AgentFileError, AgentFileProblem, parse_agent};
pub use agents::{Agent, Agents, AgentsParts};
pub use budget_report::BudgetReport;
pub use build::Built;
pub use command::{Decision, Said};
pub use core::{ModelDefaults, RuntimeLimits};
pub use definition::{AgentBudgets, AgentDefinition, Behavior, LlmChoice, PatternChoice};
pub use error::Error;
pub use feed::{ContextUse, Cursor, Feed, FeedItem, Progress, Running, TurnFailure, TurnReport, TurnResult};
pub use hook_definition::{HookDefinition, HookKind};
pub use hooks::HookMaker;
pub use loom_agent::{Amounts, Budget, CallOutcome, Measure, OnExceeded, Period, Resolution, Verdict};
pub use loom_store::{ForkPoint, WhenBusy};
pub use peers::Peers;
pub use permissions::Permissions;
pub use request::{MAX_QUERY_BYTES, TurnRequest};
pub use runtime::{Parts, Runtime};
pub use sessions::{History, SessionDraft, Sessions};
pub use trace::{Trace, TraceSpan, Traces};
pub use upkeep::{Export, Moved, StoreFacts, TableCount, Upkeep, Verified, Violation, days_before};
