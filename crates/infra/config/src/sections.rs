//! The sections of the configuration, one file each. Their docs are the manual.

mod budget;
mod llm;
mod logging;
mod observability;
mod paths;
mod providers;
mod server;
mod storage;

use std::collections::BTreeMap;

pub use budget::{OnExceeded, Per, ServerBudget};
pub use llm::Llm;
pub use logging::{LogFormat, LogLevel, Logging};
pub use observability::{Observability, Tracer};
pub use paths::Paths;
pub use providers::{Provider, ProviderSettings, ProviderType};
pub use server::{Behavior, Cors, Server};
pub use storage::{Storage, StorageBackend};

pub(crate) use providers::UNBUILT_PROVIDERS;

use crate::key::Key;
use crate::layers::Layers;

/// How Loom is to run. It is a snapshot: it never changes after it was loaded, and it holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Files and folders; these keys stand at the top of the file.
    pub paths: Paths,
    /// Where the server listens and how much it takes on.
    pub server: Server,
    /// Which model answers when an agent names none.
    pub llm: Llm,
    /// Models by the names that agents use; see [`Config::provider`] for what they amount to.
    pub providers: BTreeMap<String, Provider>,
    /// What all turns may use together.
    pub budget: ServerBudget,
    /// Where sessions, turns and messages are kept.
    pub storage: Storage,
    /// Where spans go.
    pub observability: Observability,
    /// What is logged on stderr, and how.
    pub logging: Logging,
}

impl Config {
    /// The keys of all sections, in the order of the manual.
    pub(crate) const SECTIONS: &'static [&'static [Key]] = &[
        Paths::KEYS,
        Server::KEYS,
        Behavior::KEYS,
        Cors::KEYS,
        Llm::KEYS,
        Provider::KEYS,
        ServerBudget::KEYS,
        Storage::KEYS,
        Observability::KEYS,
        Logging::KEYS,
    ];

    pub(crate) fn read(layers: &mut Layers<'_>) -> Self {
        let names = layers.instances();
        Self {
            paths: Paths::read(layers, ""),
            server: Server::read(layers, ""),
            llm: Llm::read(layers, ""),
            providers: names
                .into_iter()
                .map(|name| {
                    let provider = Provider::read(layers, &name);
                    (name, provider)
                })
                .collect(),
            budget: ServerBudget::read(layers, ""),
            storage: Storage::read(layers, ""),
            observability: Observability::read(layers, ""),
            logging: Logging::read(layers, ""),
        }
    }
}
