//! Profiles: a few values at once, below the environment and above the defaults.

/// What a built-in profile says; `None` when there is none of that name.
pub(crate) fn built_in(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match name {
        "dev" => Some(&[("llm.provider", "ollama"), ("observability.provider", "none")]),
        "staging" => Some(&[("llm.provider", "bedrock"), ("observability.provider", "embedded")]),
        "prod" => Some(&[("llm.provider", "anthropic"), ("observability.provider", "hawk")]),
        _ => None,
    }
}

/// The names of the built-in profiles.
pub(crate) const BUILT_IN: &[&str] = &["dev", "staging", "prod"];
