//! Every key of the format: accepted ones change something, the others are refused in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::{body, fields::Unbuilt, llm};
use super::*;

const ODD: &str = "zzzzzzzzzzzz";

/// A value for each accepted key, by the path of the current form.
const ACCEPTED: &[(&str, &str)] = &[
    ("metadata.name", "other"),
    ("metadata.version", "2"),
    ("metadata.description", "d"),
    ("metadata.role", "r"),
    ("metadata.workflow", "w"),
    ("metadata.labels", "{team: sales}"),
    ("spec.system_prompt", "p"),
    ("spec.active_provider", "openai"),
    ("spec.llm.provider", "openai"),
    ("spec.llm.model", "m"),
    ("spec.llm.temperature", "0.5"),
    ("spec.llm.max_tokens", "9"),
    ("spec.llm.stop_sequences", "[END]"),
    ("spec.llm.top_p", "0.9"),
    ("spec.llm.top_k", "40"),
    ("spec.llm.max_context_tokens", "9000"),
    ("spec.llm.reserved_output_tokens", "900"),
    ("spec.backends", "[shop]"),
    ("spec.backend.name", "shop"),
    ("spec.tools.builtin", "[query]"),
    ("spec.patterns", "[top_by_total]"),
    ("spec.permissions.allow", "[query]"),
    ("spec.permissions.ask", "[query]"),
    ("spec.permissions.deny", "[query]"),
    ("spec.permissions.classes.pure", "deny"),
    ("spec.permissions.classes.idempotent", "deny"),
    ("spec.permissions.classes.unsafe", "deny"),
    ("spec.permissions.approval_timeout_seconds", "1"),
    ("spec.hooks", "[{type: git_commit, workspace: /w}]"),
    ("spec.budgets.turn.usd", "0.5"),
    ("spec.budgets.turn.tokens", "1"),
    ("spec.budgets.turn.on_exceeded", "degrade"),
    ("spec.budgets.session.usd", "0.5"),
    ("spec.budgets.session.tokens", "1"),
    ("spec.budgets.session.tool_calls", "1"),
    ("spec.budgets.session.seconds", "1"),
    ("spec.budgets.session.on_exceeded", "degrade"),
    ("spec.budgets.agent.usd", "0.5"),
    ("spec.budgets.agent.tokens", "1"),
    ("spec.budgets.agent.tool_calls", "1"),
    ("spec.budgets.agent.seconds", "1"),
    ("spec.budgets.agent.per", "day"),
    ("spec.budgets.agent.on_exceeded", "degrade"),
    ("spec.memory.budgets.rom", "1"),
    ("spec.memory.budgets.l1", "1"),
    ("spec.config.max_turns", "1"),
    ("spec.config.max_tool_executions", "1"),
    ("spec.config.max_iterations", "1"),
    ("spec.config.timeout_seconds", "1"),
    ("spec.config.on_unknown", "tell"),
    ("spec.config.ask_user", "true"),
    ("spec.config.when_busy", "reject"),
    ("spec.config.patterns.enabled", "false"),
    ("spec.config.patterns.min_confidence", "1"),
    ("spec.config.patterns.max_patterns_per_turn", "0"),
];

/// The keys whose feature is not there, by section.
const REFUSED: &[(&str, &[Unbuilt])] = &[
    ("spec", body::UNBUILT),
    ("spec.backend", body::BACKEND_UNBUILT),
    ("spec.llm", llm::UNBUILT),
    ("spec.tools", body::TOOLS_UNBUILT),
    ("spec.memory", body::MEMORY_UNBUILT),
    ("spec.memory.budgets", body::BUDGETS_UNBUILT),
    ("spec.config", body::CONFIG_UNBUILT),
    ("spec.config.patterns", body::PATTERNS_UNBUILT),
];

/// A file whose `path` holds `value`, and nothing else that is not needed.
fn file_with(path: &str, value: &str) -> String {
    let (top, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut sections = BTreeMap::from([("metadata", "{name: a}".to_owned()), ("spec", "{}".to_owned())]);
    let mut header = "apiVersion: loom/v1\nkind: Agent\n";
    if top == "agent" {
        sections.clear();
        header = "";
    }
    let nested = rest
        .split('.')
        .rev()
        .filter(|key| !key.is_empty())
        .fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}"));
    let named = match (top, rest) {
        ("metadata" | "agent", "name") => nested,
        ("metadata" | "agent", _) => nested.replacen('{', "{name: a, ", 1),
        _ => nested,
    };
    sections.insert(top, named);
    let body: Vec<_> = sections.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{header}{}\n", body.join("\n"))
}

/// The keys that the section at `path` knows; `None` when it is no section.
fn known_keys(path: &str) -> Option<Vec<String>> {
    let odd = if path.is_empty() { ODD.to_owned() } else { format!("{path}.{ODD}") };
    let error = parse(&file_with(&odd, "1")).err()?;
    let mut messages = vec![error.message];
    messages.extend(error.others.into_iter().map(|other| other.message));
    let start = format!("unknown key `{odd}`; known here: ");
    let keys = messages.iter().find_map(|message| message.strip_prefix(&start))?;
    Some(keys.split(", ").map(str::to_owned).collect())
}

/// The paths of all accepted keys that are not sections.
fn leaves(path: &str, found: &mut BTreeSet<String>) {
    match known_keys(path) {
        None => drop(found.insert(path.to_owned())),
        Some(keys) => {
            for key in keys {
                leaves(&if path.is_empty() { key } else { format!("{path}.{key}") }, found);
            }
        }
    }
}

/// The key of the current form that means the same as `path`.
fn current(path: &str) -> String {
    let path = path.replace(".behavior.", ".config.");
    match path.as_str() {
        "agent.metadata" => "metadata.labels".to_owned(),
        "agent.name" | "agent.description" => path.replace("agent", "metadata"),
        _ => path.strip_prefix("agent.").map_or_else(|| path.clone(), |rest| format!("spec.{rest}")),
    }
}

#[test]
fn every_accepted_key_changes_the_definition() {
    let mut all = BTreeSet::new();
    leaves("", &mut all);
    assert!(all.remove("apiVersion") && all.remove("kind"));
    let mut unseen: BTreeMap<_, _> = ACCEPTED.iter().copied().collect();
    for path in &all {
        let current = current(path);
        let (_, value) =
            ACCEPTED.iter().find(|(key, _)| *key == current).unwrap_or_else(|| panic!("no value for {path}"));
        unseen.remove(current.as_str());
        let read = |text: &str| parse(text).unwrap_or_else(|error| panic!("{text}{error}")).definition;
        let text = file_with(path, value);
        let (changed, without) = match path.rsplit_once('.') {
            // Neither is accepted of a budget that bounds nothing.
            Some((budget, key @ ("on_exceeded" | "per"))) => {
                let bounded = file_with(&format!("{budget}.tokens"), "1");
                (read(&text.replace(key, &format!("tokens: 1, {key}"))), read(&bounded))
            }
            _ => (read(&text), definition("{}")),
        };
        assert_ne!(changed, without, "{path} is accepted and does nothing");
    }
    assert!(unseen.is_empty(), "not accepted: {unseen:?}");
    assert!(all.contains("agent.behavior.patterns.enabled") && all.contains("spec.llm.top_k"), "{all:?}");
}

#[test]
fn every_key_without_a_feature_is_refused_at_its_place_and_may_be_off() {
    for (section, keys) in REFUSED {
        for path in keys.iter().map(|unbuilt| format!("{section}.{}", unbuilt.key)) {
            for value in ["{a: {b: [1]}}", "sqlite", "[x]", "7", "{enabled: true}"] {
                let text = file_with(&path, value);
                let error = parse(&text).unwrap_err();
                let problem = find(&error, &format!("`{path}` is not supported in this version: "));
                let (code, line, column) = problem.unwrap_or_else(|| panic!("{text}{error}"));
                assert_eq!(code, ErrorCode::UnsupportedField);
                let key = path.rsplit('.').next().unwrap();
                let written = text.lines().nth(line - 1).unwrap();
                assert!(written[column - 1..].starts_with(&format!("{key}:")), "{text}{error}");
            }
            let off: &[_] = if path.ends_with("enable_tracing") {
                &["true"]
            } else {
                &["false", "0", "''", "[]", "{}", "{enabled: false}"]
            };
            for value in off {
                let text = file_with(&path, value);
                let error = parse(&text).err();
                let refused = error.as_ref().and_then(|error| find(error, &format!("`{path}`")));
                assert_eq!(refused, None, "{text}");
            }
        }
    }
}

/// Code, line and column of the problem whose message starts with `start`.
fn find(error: &AgentFileError, start: &str) -> Option<(ErrorCode, usize, usize)> {
    let place = |line, column| (usize::try_from(line).unwrap(), usize::try_from(column).unwrap());
    let first = (error.code, place(error.line, error.column), &error.message);
    let others =
        error.others.iter().map(|other| (other.code, place(other.line, other.column), &other.message));
    let mut all = std::iter::once(first).chain(others);
    let (code, (line, column), _) = all.find(|(_, _, message)| message.starts_with(start))?;
    Some((code, line, column))
}

#[test]
fn the_reference_page_names_every_key() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/agent-file.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut all = BTreeSet::new();
    leaves("", &mut all);
    let refused = REFUSED.iter().flat_map(|(_, keys)| keys.iter().map(|unbuilt| unbuilt.key));
    for key in all.iter().map(|path| path.rsplit('.').next().unwrap()).chain(refused) {
        let named = page.contains(&format!("`{key}`")) || page.contains(&format!(".{key}`"));
        assert!(named, "`{key}` is not in docs/reference/agent-file.md");
    }
    let behavior = crate::Behavior::default();
    for (key, default) in [
        ("config.max_turns", behavior.max_turns.to_string()),
        ("config.max_tool_executions", behavior.max_tool_executions.to_string()),
        ("config.max_iterations", behavior.max_iterations.to_string()),
        ("config.timeout_seconds", behavior.timeout.as_secs().to_string()),
        ("config.patterns.min_confidence", crate::PatternChoice::default().min_confidence.to_string()),
        ("memory.budgets.rom", Budgets::default().rom.to_string()),
        ("memory.budgets.l1", Budgets::default().l1.to_string()),
    ] {
        assert!(page.contains(&format!("| `{key}` | {default} |")), "{key}: the default is {default}");
    }
}
