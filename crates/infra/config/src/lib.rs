//! Reads how Loom is to run: flags, one file, the environment, a profile and defaults become one typed [`Config`] that
//! can say of every value where it came from.
//!
//! It never reads the process environment (a map is passed in), never guesses at a key it does not know and never holds
//! a secret in [`Config`]: those are read when needed, by [`Secrets`].
//!
//! Priority, highest first: flag, file, environment, profile, default.

mod choice;
mod environment;
mod error;
mod explain;
mod file;
mod key;
mod layers;
mod load;
mod nearest;
mod profile;
mod reference;
mod schema;
mod secret;
mod sections;
mod source;
mod unbuilt;
mod validate;
mod value;
mod words;

pub use environment::Environment;
pub use error::{ConfigError, ConfigErrors};
pub use explain::{Explanation, Notice, Shadowed};
pub use key::KeyInfo;
pub use load::{FileChoice, Flag, Inputs, Loaded, UnknownKey};
pub use reference::reference_markdown;
pub use schema::keys;
pub use secret::{SecretError, SecretRef, Secrets};
pub use sections::{
    Behavior, Config, Cors, Llm, LogFormat, LogLevel, Logging, Observability, OnExceeded, Paths, Per,
    Provider, ProviderSettings, ProviderType, Server, ServerBudget, Storage, StorageBackend, Tracer,
};
pub use source::{Position, Source};
pub use words::{Endpoint, Origin};
