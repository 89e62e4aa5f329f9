//! Speaks Google's Gemini API (`streamGenerateContent`): Loom's requests become its JSON, its events become Loom's chunks.
//!
//! It never retries, never waits past the caller's deadline, and never puts a key or a body in an error. Thoughts are not
//! asked for; the signatures by which the API recognises its own are kept and sent back where they stood.
//!
//! Source of the wire format: <https://ai.google.dev/api/generate-content>.

mod error;
mod events;
mod provider;
mod request;

pub use provider::{DEFAULT_BASE_URL, Gemini};
