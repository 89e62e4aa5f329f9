//! Whole files: what they mean, and how all that is wrong with one is told.

mod hooks;
mod keys;
mod refusals;
mod robustness;

use std::path::Path;
use std::time::Duration;

use loom_base::ErrorCode;
use loom_memory::Budgets;

use super::*;
use crate::LlmChoice;

/// Knows one variable, `MODEL`.
fn expand(text: &str) -> Result<String, String> {
    match text {
        _ if text.contains("${SECRET}") => Ok(text.replace("${SECRET}", "sk-123")),
        _ if text.contains("${UNSET}") => Err("the environment variable UNSET is not set".to_owned()),
        _ => Ok(text.replace("${MODEL}", "m-1").replace("${EMPTY}", "")),
    }
}

fn parse(text: &str) -> Result<AgentFile, AgentFileError> {
    parse_agent("a.yaml", text, &expand)
}

/// A file with `spec` as given, in flow style, which starts at line 4, column 7.
fn with_spec(spec: &str) -> String {
    format!("apiVersion: loom/v1\nkind: Agent\nmetadata: {{name: a}}\nspec: {spec}\n")
}

fn definition(spec: &str) -> AgentDefinition {
    parse(&with_spec(spec)).unwrap().definition
}

const FULL: &str = "\
apiVersion: loom/v1
kind: Agent
metadata:
  name: analyst
  version: 1.10
  description: Answers from data
  labels: {team: sales, tier: 2}
spec:
  backends: [shop, crm]
  llm: {provider: anthropic, model: '${MODEL}', temperature: 0, stop_sequences: [END], max_context_tokens: 9000}
  system_prompt: |
    Answer.
  tools: [query, run_pattern]
  patterns: [top_by_total]
  memory: {budgets: {rom: 6000, l1: 7000}}
  config:
    max_turns: 3
    timeout_seconds: 90
    allow_code_execution: false
    patterns: {min_confidence: 0.4}
";

#[test]
fn a_file_means_what_it_says() {
    let definition = parse(FULL).unwrap().definition;
    assert_eq!(definition.name, "analyst");
    assert_eq!(definition.description, "Answers from data");
    let notes: Vec<_> = definition.metadata.iter().map(|(key, note)| (key.as_str(), note.as_str())).collect();
    assert_eq!(notes, [("labels.team", "sales"), ("labels.tier", "2"), ("version", "1.10")]);
    assert_eq!(definition.backends, ["shop", "crm"]);
    assert_eq!(definition.system_prompt, "Answer.\n");
    assert_eq!(definition.tools.unwrap(), ["query", "run_pattern"]);
    let LlmChoice { provider, model, sampling, max_tokens, max_context_tokens, reserved_output_tokens } =
        definition.llm;
    assert_eq!((provider.as_deref(), model.as_deref()), (Some("anthropic"), Some("m-1")));
    assert_eq!((sampling.temperature, sampling.top_p), (Some(0.0), None));
    assert_eq!(sampling.stop_sequences, ["END"]);
    assert_eq!((max_tokens, max_context_tokens, reserved_output_tokens), (None, Some(9000), None));
    assert_eq!(definition.memory, Budgets { rom: 6000, l1: 7000, ..Budgets::default() });
    assert_eq!((definition.behavior.max_turns, definition.behavior.timeout), (3, Duration::from_secs(90)));
    assert_eq!(definition.patterns.bound, ["top_by_total"]);
    assert_eq!((definition.patterns.enabled, definition.patterns.min_confidence), (true, 0.4));
}

#[test]
fn the_older_form_means_the_same() {
    let older = "\
agent:
  name: analyst
  description: Answers from data
  metadata: {labels.team: sales, labels.tier: 2, version: 1.10}
  backends: [shop, crm]
  llm: {provider: anthropic, model: m-1, temperature: 0, stop_sequences: [END], max_context_tokens: 9000}
  system_prompt: \"Answer.\\n\"
  tools: {builtin: [query, run_pattern], mcp: [], custom: []}
  patterns: [top_by_total]
  memory: {budgets: {rom: 6000, l1: 7000}}
  behavior: {max_turns: 3, timeout_seconds: 90, patterns: {min_confidence: 0.4}}
";
    assert_eq!(parse(older).unwrap().definition, parse(FULL).unwrap().definition);
}

#[test]
fn what_is_not_written_is_the_default() {
    let bare = definition("{}");
    assert_eq!(bare.llm, LlmChoice::default());
    assert_eq!((bare.tools, bare.backends), (None, Vec::new()));
    assert_eq!((bare.behavior, bare.patterns), (crate::Behavior::default(), crate::PatternChoice::default()));
    let empty = definition("{llm: {provider: '${EMPTY}', model: ''}, config:, tools:, memory: {}}");
    assert_eq!((empty.llm, empty.tools), (LlmChoice::default(), None));
    assert_eq!(definition("{tools: []}").tools, Some(Vec::new()), "an empty list is no tools, not all");
    assert_eq!(definition("{tools: {mcp: []}}").tools, None);
}

#[test]
fn a_backend_is_named_in_three_ways() {
    for spec in ["{backend: shop}", "{backend: {name: shop}}", "{backends: [shop]}"] {
        assert_eq!(definition(spec).backends, ["shop"], "{spec}");
    }
}

#[test]
fn no_pattern_per_turn_is_patterns_off() {
    assert!(definition("{config: {patterns: {max_patterns_per_turn: 1}}}").patterns.enabled);
    assert!(!definition("{config: {patterns: {max_patterns_per_turn: 0}}}").patterns.enabled);
    assert!(!definition("{config: {patterns: {enabled: false}}}").patterns.enabled);
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let error =
        parse(&FULL.replace("backends", "backend_path").replace("max_turns: 3", "max_turns: 0")).unwrap_err();
    let told: Vec<_> = error.others.iter().map(|other| (other.line, other.column, other.code)).collect();
    assert_eq!((error.line, error.column, error.code), (9, 3, ErrorCode::UnsupportedField));
    assert_eq!(told, [(17, 16, ErrorCode::InvalidConfig)]);
    let text = error.to_string();
    assert!(text.starts_with("a.yaml:9:3: `spec.backend_path` is not supported in this version: "), "{text}");
    assert!(text.contains("\na.yaml:17:16: `spec.config.max_turns` is `0`"), "{text}");
    assert_eq!(Error::from(error).code, ErrorCode::UnsupportedField);

    let many = (0..50).map(|key| format!("k{key}: 1")).collect::<Vec<_>>().join("\n");
    let text = parse(&many).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 21);
    assert!(text.ends_with("\nand 34 more"), "{text}");
}

#[test]
fn messages_show_neither_expanded_values_nor_control_characters() {
    let error = parse(&with_spec("{llm: {temperature: '${SECRET}', top_p: '${UNSET}'}}")).unwrap_err();
    assert_eq!(error.others.len(), 1);
    let text = error.to_string();
    assert!(text.contains("${SECRET}") && !text.contains("sk-123"), "{text}");
    assert!(text.contains("a.yaml:4:47: the environment variable UNSET is not set"), "{text}");
    let error = parse(&with_spec("{\"\\e[31mred\": 1}")).unwrap_err();
    assert!(error.message.contains("\\u{1b}[31mred"), "{}", error.message);
}

#[test]
fn what_is_refused_later_is_told_at_its_key() {
    let file = parse(FULL).unwrap();
    let place = |code| {
        let error = file.refused(&Error::new(code, "no"));
        assert_eq!((error.file.as_str(), error.code, error.message.as_str()), ("a.yaml", code, "no"));
        (error.line, error.column)
    };
    assert_eq!(place(ErrorCode::AgentExists), (4, 3));
    assert_eq!(place(ErrorCode::BackendNotFound), (9, 3));
    assert_eq!(place(ErrorCode::NoProvider), (10, 3));
    assert_eq!(place(ErrorCode::PatternNotFound), (14, 3));
    assert_eq!(place(ErrorCode::InvalidArgument), (8, 1));
}

#[test]
fn every_example_is_an_agent() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/agents");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let plain = |text: &str| Ok(text.to_owned());
        match parse_agent(&path.display().to_string(), &text, &plain) {
            Ok(file) => names.push(file.definition.name),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(names.contains(&"analyst".to_owned()), "{names:?}");
}
