//! Speaks OpenAI's Chat Completions, and so to every server that speaks them too: Ollama, vLLM, llama.cpp and gateways.
//!
//! It never retries, never waits past the caller's deadline, and never puts a key or a body in an error. Where
//! compatible servers differ from OpenAI it is lenient in what it reads and plain in what it sends.

mod error;
mod events;
mod provider;
mod request;
mod tool_calls;

pub use provider::{DEFAULT_BASE_URL, OpenAi, Settings};
pub use request::OutputLimitField;
