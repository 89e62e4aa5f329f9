//! The model providers by name: given by the embedding program, or made from the configuration when first used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use loom_base::{Clock, ErrorCode};
use loom_config::{Config, ProviderSettings, ProviderType, SecretRef, Secrets};
use loom_http_client::{BaseUrl, Client, Limits};
use loom_llm::{CredentialSource, ErrorClass, LlmError, LlmProvider, Providers};
use loom_llm_anthropic::Anthropic;
use loom_llm_gemini::Gemini;
use loom_llm_mock::{MockProvider, Script};
use loom_llm_offline::OfflineProvider;
use loom_llm_openai::{OpenAi, Settings};
use loom_runtime::Error;

/// How a configured provider is made.
struct Recipe {
    settings: ProviderSettings,
    secrets: Secrets,
}

/// Providers by name.
pub(crate) struct ProviderRegistry {
    clock: Arc<dyn Clock>,
    recipes: BTreeMap<String, Recipe>,
    made: Mutex<BTreeMap<String, Arc<dyn LlmProvider>>>,
    client: Mutex<Option<Client>>,
}

impl ProviderRegistry {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, recipes: BTreeMap::new(), made: Mutex::default(), client: Mutex::default() }
    }

    /// Adds a provider of the embedding program; it replaces a configured one of its name.
    pub(crate) fn add(&self, name: String, provider: Arc<dyn LlmProvider>) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name, provider);
    }

    /// Adds the providers of the configuration. What can be wrong with one is found out now: a script that does not
    /// read, an address that is none. Connections and keys wait for the first call.
    pub(crate) fn add_configured(&mut self, config: &Config, secrets: &Secrets) -> Result<(), Error> {
        for name in config.provider_names() {
            let Some(settings) = config.provider(name) else { continue };
            if settings.kind == ProviderType::Mock {
                self.add(name.to_owned(), Arc::new(mock(name, &settings, &self.clock)?));
                continue;
            }
            base_url(&settings)
                .map_err(|error| Error::new(ErrorCode::InvalidConfig, format!("provider {name}: {error}")))?;
            self.recipes.insert(name.to_owned(), Recipe { settings, secrets: secrets.clone() });
        }
        Ok(())
    }

    fn make(&self, name: &str, recipe: &Recipe) -> Option<Arc<dyn LlmProvider>> {
        let settings = &recipe.settings;
        match settings.kind {
            ProviderType::Offline => Some(Arc::new(OfflineProvider::new())),
            ProviderType::Anthropic => {
                let key = credential(name, settings.api_key.clone(), recipe.secrets.clone());
                Some(Arc::new(Anthropic::new(self.client()?, base_url(settings).ok()?, key)))
            }
            ProviderType::OpenAi => {
                let base = base_url(settings).ok()?;
                let key = |key| credential(name, key, recipe.secrets.clone());
                let openai = if settings.base_url.is_none() {
                    Settings::openai(base, key(settings.api_key.clone()))
                } else {
                    Settings::compatible(name, base, settings.api_key.clone().map(|own| key(Some(own))))
                };
                Some(Arc::new(OpenAi::new(self.client()?, openai)))
            }
            ProviderType::Gemini => {
                let key = credential(name, settings.api_key.clone(), recipe.secrets.clone());
                Some(Arc::new(Gemini::new(self.client()?, base_url(settings).ok()?, key)))
            }
            // Made when it was added.
            ProviderType::Mock => None,
        }
    }

    fn client(&self) -> Option<Client> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.is_none() {
            match Client::new(Limits::default(), Arc::clone(&self.clock)) {
                Ok(made) => *client = Some(made),
                Err(error) => tracing::error!(%error, "no outbound connections can be made"),
            }
        }
        client.clone()
    }
}

impl Providers for ProviderRegistry {
    fn get(&self, name: &str) -> Option<Arc<dyn LlmProvider>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = made.get(name) {
            return Some(Arc::clone(provider));
        }
        let provider = self.make(name, self.recipes.get(name)?)?;
        made.insert(name.to_owned(), Arc::clone(&provider));
        Some(provider)
    }

    fn names(&self) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = made.keys().chain(self.recipes.keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn base_url(settings: &ProviderSettings) -> Result<BaseUrl, loom_http_client::AddressError> {
    let public = match settings.kind {
        ProviderType::Anthropic => loom_llm_anthropic::DEFAULT_BASE_URL,
        ProviderType::Gemini => loom_llm_gemini::DEFAULT_BASE_URL,
        _ => loom_llm_openai::DEFAULT_BASE_URL,
    };
    settings.base_url.as_ref().map_or(public, |endpoint| endpoint.as_str()).parse()
}

/// Reads the key when it is first needed, and keeps it: reading may touch a file, and calls must not wait for one.
fn credential(provider: &str, key: Option<SecretRef>, secrets: Secrets) -> CredentialSource {
    let provider = provider.to_owned();
    let known = Mutex::new(None);
    Arc::new(move || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*known {
            return Ok(loom_base::Secret::clone(secret));
        }
        let missing = |message: String| LlmError::new(&provider, ErrorClass::Auth, message);
        let key = key.as_ref().ok_or_else(|| {
            missing(format!(
                "no key is configured: set `providers.{provider}.api_key` to ${{NAME}} of a variable"
            ))
        })?;
        let secret = secrets.get(key).map_err(|error| missing(error.to_string()))?;
        *known = Some(secret.clone());
        Ok(secret)
    })
}

fn mock(name: &str, settings: &ProviderSettings, clock: &Arc<dyn Clock>) -> Result<MockProvider, Error> {
    let invalid = |message: String| Error::new(ErrorCode::InvalidConfig, message);
    let script = match &settings.script {
        None => Script::default(),
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                invalid(format!("provider {name}: the script {file} cannot be read: {error}"))
            })?;
            Script::parse(&text).map_err(|error| invalid(format!("provider {name}: {file}: {error}")))?
        }
    };
    Ok(MockProvider::new(script, Arc::clone(clock)))
}
