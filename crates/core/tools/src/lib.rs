//! What an agent can do besides talk: the [`Tool`] trait, its declared effects, and the set an agent is given.
//!
//! A tool declares what it does to the world; the turn machine and the journal act on that declaration alone.

mod registry;
mod tool;

pub use registry::{ArgumentError, ToolSet, ToolSetError};
pub use tool::{EffectClass, Tool, ToolContext, ToolError, ToolErrorKind, ToolOutput, ToolSpec};
