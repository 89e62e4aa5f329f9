//! What an agent can do besides talk: the [`Tool`] trait, its declared effects, and the set an agent is given.
//!
//! A tool declares what it does to the world; the turn machine and the journal act on that declaration alone. A
//! [`Hook`] declares the same, and runs at fixed points of a turn, whatever the model wants.

mod hook;
mod registry;
mod tool;

pub use hook::{Hook, HookAnswer, HookCall, HookInput, HookMessage, HookPoint, HookSpec, OnFailure};
pub use registry::{ArgumentError, ToolSet, ToolSetError};
pub use tool::{EffectClass, Tool, ToolContext, ToolError, ToolErrorKind, ToolOutput, ToolSpec};
