//! Models by name, and what a name amounts to.

use std::path::PathBuf;

use super::Config;
use crate::choice::choice;
use crate::key::section;
use crate::{Endpoint, SecretRef};

/// Providers other Looms know and this version does not have.
pub(crate) const UNBUILT_PROVIDERS: &[&str] =
    &["bedrock", "azure-openai", "azure_openai", "mistral", "huggingface", "litellm", "vertex"];

choice! {
    /// The protocol of a provider.
    ProviderType {
        /// Anthropic's Messages API.
        Anthropic = "anthropic",
        /// OpenAI's Chat Completions API, or a server that speaks it.
        OpenAi = "openai",
        /// Google's Gemini API.
        Gemini = "gemini",
        /// Replies from a script; no model.
        Mock = "mock",
        /// Answers by patterns and queries alone; no model.
        Offline = "offline",
    }
    later "bedrock" "azure-openai" "azure_openai" "mistral" "huggingface" "litellm" "vertex"
}

section! {
    /// A provider under a name of your own: `providers: {lab: {type: openai, base_url: "http://lab:8000/v1"}}`. A name
    /// has small letters, digits, `-` and `_`. The names `anthropic`, `openai`, `gemini`, `ollama`, `mock` and `offline`
    /// exist without an entry; an entry of that name replaces the built-in one.
    Provider at "providers.*." {
        /// The protocol. Needed, unless the name of the entry is itself a type.
        kind: Option<ProviderType> = None, key "type", example "openai";
        /// Where the server is, for `anthropic`, `openai` and `gemini`, with the version where its paths have one. Unset: the
        /// provider's public address.
        base_url: Option<Endpoint> = None, example "http://lab.example:8000/v1";
        /// The model of this provider, for agents that name none. Unset: `llm.anthropic_model`, `llm.openai_model`,
        /// `llm.gemini_model` or `mock`, by the type.
        model: Option<String> = None, example "lab-model";
        /// Where the key is: `${NAME}` of a variable, for `anthropic`, `openai` and `gemini`. Unset: the key of
        /// `llm.anthropic_api_key`, `llm.openai_api_key` or `llm.gemini_api_key`, but only without a `base_url`: a key
        /// is never sent to an address it was not given for.
        api_key: Option<SecretRef> = None, example "${TEAM_KEY}";
        /// The YAML script of replies, for `mock`.
        script: Option<PathBuf> = None, example "/srv/loom/replies.yaml";
    }
}

/// What a provider's name amounts to, everything taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The protocol.
    pub kind: ProviderType,
    /// Where the server is; `None` for the provider's public address.
    pub base_url: Option<Endpoint>,
    /// The model for agents that name none. A type without models has one of its own name.
    pub model: String,
    /// Where the key is; `None` when none is sent.
    pub api_key: Option<SecretRef>,
    /// The script, for `mock`.
    pub script: Option<PathBuf>,
}

impl ProviderType {
    /// The type that `name` names, if any.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Anthropic, Self::OpenAi, Self::Gemini, Self::Mock, Self::Offline]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

impl Config {
    /// The names of all providers: those of the file and the built-in ones, in order.
    pub fn provider_names(&self) -> Vec<&str> {
        let built_in = ["anthropic", "gemini", "mock", "offline", "ollama", "openai"];
        let mut names: Vec<&str> = self.providers.keys().map(String::as_str).chain(built_in).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the provider `name` amounts to; `None` when there is none of that name.
    pub fn provider(&self, name: &str) -> Option<ProviderSettings> {
        let mut settings = match self.providers.get(name) {
            Some(entry) => self.configured(entry, entry.kind.or_else(|| ProviderType::named(name))?),
            None if name == "ollama" => ProviderSettings {
                kind: ProviderType::OpenAi,
                base_url: Some(self.llm.ollama_endpoint.join("v1")),
                model: self.llm.ollama_model.clone(),
                api_key: None,
                script: None,
            },
            None => {
                let kind = ProviderType::named(name)?;
                ProviderSettings {
                    kind,
                    base_url: None,
                    model: self.type_model(kind),
                    api_key: self.type_key(kind),
                    script: None,
                }
            }
        };
        if let Some(model) = &self.llm.model
            && self.llm.provider.as_deref() == Some(name)
        {
            settings.model.clone_from(model);
        }
        Some(settings)
    }

    fn configured(&self, entry: &Provider, kind: ProviderType) -> ProviderSettings {
        let type_key = if entry.base_url.is_none() { self.type_key(kind) } else { None };
        ProviderSettings {
            kind,
            base_url: entry.base_url.clone(),
            model: entry.model.clone().unwrap_or_else(|| self.type_model(kind)),
            api_key: entry.api_key.clone().or(type_key),
            script: entry.script.clone(),
        }
    }

    fn type_model(&self, kind: ProviderType) -> String {
        match kind {
            ProviderType::Anthropic => self.llm.anthropic_model.clone(),
            ProviderType::OpenAi => self.llm.openai_model.clone(),
            ProviderType::Gemini => self.llm.gemini_model.clone(),
            ProviderType::Mock | ProviderType::Offline => kind.as_str().to_owned(),
        }
    }

    fn type_key(&self, kind: ProviderType) -> Option<SecretRef> {
        match kind {
            ProviderType::Anthropic => Some(self.llm.anthropic_api_key.clone()),
            ProviderType::OpenAi => Some(self.llm.openai_api_key.clone()),
            ProviderType::Gemini => Some(self.llm.gemini_api_key.clone()),
            ProviderType::Mock | ProviderType::Offline => None,
        }
    }
}
