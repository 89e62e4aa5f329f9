//! What must hold between keys.

use loom_base::ErrorCode;

use crate::error::ConfigError;
use crate::layers::Layers;
use crate::nearest::hint;
use crate::sections::{Config, Provider, ProviderType, UNBUILT_PROVIDERS};
use crate::source::Source;

/// Reports into `layers` what is wrong with the configuration as a whole.
pub(crate) fn validate(config: &Config, layers: &mut Layers<'_>) {
    listeners(config, layers);
    default_provider(config, layers);
    server_budget(config, layers);
    for (name, provider) in &config.providers {
        entry(name, provider, layers);
    }
}

fn report(layers: &mut Layers<'_>, code: ErrorCode, key: &str, message: String) {
    let source = layers.source(key);
    layers.errors.push(ConfigError::new(code, source, message));
}

fn listeners(config: &Config, layers: &mut Layers<'_>) {
    let server = &config.server;
    if !server.is_loopback() && !server.insecure_bind {
        let message = format!(
            "`server.host`: other machines can reach {}, and this version has neither TLS nor authentication; listen \
             on 127.0.0.1, or accept it by `--insecure-bind`",
            server.host
        );
        report(layers, ErrorCode::InsecureBind, "server.host", message);
    }
    if server.grpc_port == server.http_port {
        let message = format!("`server.grpc_port` and `server.http_port` are both {}", server.grpc_port);
        let (grpc, http) = (layers.source("server.grpc_port"), layers.source("server.http_port"));
        let key = if grpc < http { "server.grpc_port" } else { "server.http_port" };
        report(layers, ErrorCode::InvalidConfig, key, message);
    }
}

fn default_provider(config: &Config, layers: &mut Layers<'_>) {
    let Some(name) = config.llm.provider.as_deref() else {
        if config.llm.model.is_some() {
            let message = "`llm.model` is the model of `llm.provider`, which is not set".to_owned();
            report(layers, ErrorCode::InvalidConfig, "llm.model", message);
        }
        return;
    };
    let names = config.provider_names();
    if names.contains(&name) {
        return;
    }
    let usable = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if UNBUILT_PROVIDERS.contains(&name) {
        let message = format!("`llm.provider`: {name} is not in this version; use one of {usable}");
        report(layers, ErrorCode::UnsupportedField, "llm.provider", message);
    } else {
        let hint = hint(name, names.iter().copied());
        let message = format!("`llm.provider`: there is no provider `{name}`; there are {usable}{hint}");
        report(layers, ErrorCode::InvalidConfig, "llm.provider", message);
    }
}

/// Refuses a policy or a period of nothing.
fn server_budget(config: &Config, layers: &mut Layers<'_>) {
    let budget = &config.budget;
    let (per, policy) = ("budgets.server.per", "budgets.server.on_exceeded");
    if layers.source(per) != Source::Default && !budget.is_bounded() {
        let message =
            format!("`{per}` is of a budget that bounds nothing: set `budgets.server.usd` or another bound");
        report(layers, ErrorCode::InvalidConfig, per, message);
    }
    if layers.source(policy) != Source::Default && !budget.bounds_calls() {
        let message = format!(
            "`{policy}` is of model calls, which nothing bounds: set `budgets.server.usd`, `tokens` or `tool_calls`"
        );
        report(layers, ErrorCode::InvalidConfig, policy, message);
    }
}

fn entry(name: &str, provider: &Provider, layers: &mut Layers<'_>) {
    let own = layers.instance_source(name);
    let plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if !plain {
        let message = format!("`providers.{name}`: a name has only small letters, digits, `-` and `_`");
        layers.errors.push(ConfigError::new(ErrorCode::InvalidConfig, own.clone(), message));
    }
    let Some(kind) = provider.kind.or_else(|| ProviderType::named(name)) else {
        // A `type` that was given and refused has its own error.
        if !layers.errors.iter().any(|error| error.message().starts_with(&format!("`providers.{name}.type`")))
        {
            let message = format!(
                "`providers.{name}` needs a `type`: `anthropic`, `openai`, `gemini`, `mock` or `offline`"
            );
            layers.errors.push(ConfigError::new(ErrorCode::InvalidConfig, own, message));
        }
        return;
    };
    let remote = matches!(kind, ProviderType::Anthropic | ProviderType::OpenAi | ProviderType::Gemini);
    for (key, given, fits) in [
        ("base_url", provider.base_url.is_some(), remote),
        ("api_key", provider.api_key.is_some(), remote),
        ("script", provider.script.is_some(), kind == ProviderType::Mock),
        ("model", provider.model.is_some(), kind != ProviderType::Offline),
    ] {
        if given && !fits {
            let key = format!("providers.{name}.{key}");
            let message = format!("`{key}` means nothing to a provider of type `{}`", kind.as_str());
            report(layers, ErrorCode::InvalidConfig, &key, message);
        }
    }
}
