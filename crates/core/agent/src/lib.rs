//! Decides what a turn does next: events go in, effects come out.
//!
//! The machine performs nothing. It has no clock, no randomness, no runtime and no content: messages and tool results
//! are named by id, so a turn's journal is small and replaying it gives the same state. What it may not know (the
//! time, a tool's effect class, a policy's verdict) arrives in the event.
//!
//! ```
//! use loom_agent::{Effect, Event, EventKind, Turn, TurnConfig};
//! use loom_base::{MessageId, Timestamp, TurnId};
//!
//! let mut turn = Turn::new(TurnId::from_uuid(uuid::Uuid::from_u128(1)), TurnConfig::default());
//! let message = MessageId::from_uuid(uuid::Uuid::from_u128(2));
//! let effects = turn.apply(&Event::new(Timestamp::default(), EventKind::UserMessage { message }))?;
//! assert!(matches!(effects[0], Effect::CallLlm { .. }));
//! # Ok::<(), loom_agent::ProtocolError>(())
//! ```

mod budget;
mod call;
mod config;
mod effect;
mod event;
mod hooks;
mod ledger;
mod outstanding;
mod tool_phase;
mod turn;
mod working_time;

pub use budget::{
    Amounts, Budget, BudgetScope, Ceiling, Measure, ModelCall, OnExceeded, Period, Reserved, Window,
};
pub use call::{Call, CallKind, CallOutcome, CallRequest, CallState, Verdict};
pub use config::{ApprovalTime, Backoff, Limits, OnUnknown, TurnConfig};
pub use effect::{Effect, Failure, Limit, Outcome};
pub use event::{Event, EventKind, RaiseRequest, Resolution};
pub use hooks::{HookEntry, HookOutcome, HookSaid, Hooks};
pub use loom_tools::{HookPoint, OnFailure};
pub use turn::{ProtocolError, RULES_VERSION, Spent, State, Turn};
