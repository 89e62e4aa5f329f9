//! Secrets are found when they are needed, and shown to nobody.

use insta::assert_snapshot;
use loom_base::ErrorCode;
use loom_config::{Environment, SecretRef, Secrets};

use crate::world::World;

const KEY: &str = "sk-ant-hunter2";

fn secrets(variables: &[(&str, &str)]) -> Secrets {
    Secrets::new(variables.iter().copied().collect::<Environment>())
}

#[test]
fn a_file_comes_before_the_variable_and_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let at = path.display().to_string();
    let secrets = secrets(&[("TEAM_KEY", "from-variable"), ("TEAM_KEY_FILE", &at)]);
    let key = SecretRef::in_variable("TEAM_KEY");
    let read = || secrets.get(&key);
    assert!(read().unwrap_err().to_string().ends_with("cannot be read"));
    std::fs::write(&path, "first\n").unwrap();
    assert_eq!(read().unwrap().expose(), "first");
    std::fs::write(&path, "second\r\n").unwrap();
    assert_eq!(read().unwrap().expose(), "second");
    std::fs::write(&path, "\n").unwrap();
    assert!(read().unwrap_err().to_string().ends_with("is empty"));
    std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
    assert!(read().unwrap_err().to_string().ends_with("too large for a key"));
}

#[test]
fn the_variable_alone_is_enough_and_nothing_is_an_error_with_the_cure() {
    let key = SecretRef::in_variable("ANTHROPIC_API_KEY");
    assert_eq!(secrets(&[("ANTHROPIC_API_KEY", KEY)]).get(&key).unwrap().expose(), KEY);
    let error = secrets(&[]).get(&key).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Credential);
    assert_snapshot!(error, @"no key: set ANTHROPIC_API_KEY, or ANTHROPIC_API_KEY_FILE to the path of a file that holds it");
}

#[test]
fn a_secret_in_a_file_or_flag_is_refused_and_not_repeated() {
    for text in [
        KEY,
        "${ANTHROPIC_API_KEY:-sk-ant-hunter2}",
        "x${KEY}",
        "${sk-ant-hunter2}",
        "${hunter2}",
        "[hunter2]",
    ] {
        let world = World::new().file(format!("llm:\n  anthropic_api_key: {text}\n"));
        let errors = world.errors();
        assert!(errors.starts_with("looms.yaml:2:22: `llm.anthropic_api_key`: "), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let errors = World::new().flag("--anthropic-key", "llm.anthropic_api_key", KEY).errors();
    assert_snapshot!(errors, @"--anthropic-key: `llm.anthropic_api_key`: a flag cannot carry a secret, other users would see it: set a variable [LOOM_INVALID_CONFIG]");
    assert_snapshot!(World::new().file("providers: {x: {type: openai, api_key: sk-hunter2}}").errors(), @"looms.yaml:1:40: `providers.x.api_key`: a secret is not written into a file: put it into an environment variable and write `${NAME_OF_IT}`, or put it into a file of its own and set `NAME_OF_IT_FILE` to that file's path [LOOM_INVALID_CONFIG]");
    let errors = World::new().file(format!("anthropic_api_kye: {KEY}\nllm: {KEY}\n")).errors();
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn a_secret_in_the_environment_is_named_and_not_shown() {
    let world = World::new()
        .file("providers: {lab: {type: openai, api_key: '${LOOM_LAB}'}}\n")
        .env("LOOM_LLM_OPENAI_API_KEY", KEY)
        .env("ANTHROPIC_API_KEY", KEY)
        .env("LOOM_LAB_FILE", "/run/lab")
        .env("LOOM_LAB", KEY);
    let loaded = world.load();
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
    let openai = loaded.config.provider("openai").unwrap().api_key.unwrap();
    assert_eq!(loaded.secrets.get(&openai).unwrap().expose(), KEY);
    let mut shown = format!("{loaded:?}");
    for found in loaded.explain_all() {
        shown.push_str(&found.to_string());
    }
    assert!(!shown.contains("hunter2"));
    assert_snapshot!(loaded.explain("llm.openai_api_key").unwrap(), @r"
llm.openai_api_key = [redacted] (from LOOM_LLM_OPENAI_API_KEY_FILE or LOOM_LLM_OPENAI_API_KEY)
  from environment LOOM_LLM_OPENAI_API_KEY
");
    assert!(loaded.get("llm.openai_api_key").unwrap().unwrap().starts_with("[redacted]"));
}

#[test]
fn a_secret_may_be_in_a_file_alone() {
    let loaded = World::new().env("LOOM_LLM_OPENAI_API_KEY_FILE", "/run/key").load();
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
    let key = loaded.config.provider("openai").unwrap().api_key.unwrap();
    assert_eq!(key.file_variable(), "LOOM_LLM_OPENAI_API_KEY_FILE");
}

#[test]
fn the_environment_shows_names_only() {
    let env = [("A", KEY)].into_iter().collect::<Environment>();
    assert_eq!(format!("{env:?}"), r#"{"A"}"#);
}
