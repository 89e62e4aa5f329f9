//! What the name of a provider amounts to.

use loom_config::{ProviderType, SecretRef};

use crate::world::World;

const FILE: &str = "\
llm: {provider: lab, model: big, openai_model: gpt-x}
providers:
  lab: {type: openai, base_url: 'http://lab:8000/v1/', model: small}
  keyed: {type: openai, base_url: 'http://lab:8000/v1', api_key: '${LAB_KEY}'}
  second: {type: openai}
  script: {type: mock, script: ~/replies.yaml}
  anthropic: {model: claude-y}
";

#[test]
fn built_in_names_need_no_entry() {
    let config = World::new().load().config;
    assert_eq!(config.provider_names(), ["anthropic", "gemini", "mock", "offline", "ollama", "openai"]);
    let anthropic = config.provider("anthropic").unwrap();
    assert_eq!(anthropic.kind, ProviderType::Anthropic);
    assert_eq!(anthropic.model, "claude-sonnet-4-5-20250929");
    assert_eq!(anthropic.api_key, Some(SecretRef::in_variable("ANTHROPIC_API_KEY")));
    let gemini = config.provider("gemini").unwrap();
    assert_eq!((gemini.kind, gemini.model.as_str()), (ProviderType::Gemini, "gemini-3-flash-preview"));
    assert_eq!(gemini.api_key, Some(SecretRef::in_variable("GEMINI_API_KEY")));
    assert_eq!(config.provider("offline").unwrap().api_key, None);
    assert_eq!(config.provider("lab"), None);
    for without_models in ["offline", "mock"] {
        assert_eq!(config.provider(without_models).unwrap().model, without_models);
    }
}

#[test]
fn an_entry_is_what_it_says_and_the_rest_comes_from_its_type() {
    let config = World::new().file(FILE).load().config;
    let second = config.provider("second").unwrap();
    assert_eq!(second.model, "gpt-x");
    assert_eq!(second.api_key, Some(SecretRef::in_variable("OPENAI_API_KEY")));
    let script = config.provider("script").unwrap();
    assert_eq!(script.script.unwrap().to_str(), Some("/home/me/replies.yaml"));
    assert_eq!(config.provider("anthropic").unwrap().model, "claude-y");
}

#[test]
fn a_key_is_never_sent_to_an_address_it_was_not_given_for() {
    let config = World::new().file(FILE).env("OPENAI_API_KEY", "sk-main").load().config;
    assert_eq!(config.provider("lab").unwrap().api_key, None);
    assert_eq!(config.provider("keyed").unwrap().api_key, Some(SecretRef::in_variable("LAB_KEY")));
}

#[test]
fn the_general_model_is_that_of_the_default_provider_only() {
    let config = World::new().file(FILE).load().config;
    assert_eq!(config.provider("lab").unwrap().model, "big");
    assert_eq!(config.provider("keyed").unwrap().model, "gpt-x");
}
