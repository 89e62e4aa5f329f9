//! What cannot be used, each with its place, code and words.

use ErrorCode::{InvalidConfig, InvalidYaml, UnknownField, UnsupportedField};

use super::*;

/// Line, column, code and a part of the message.
type Refusal<'a> = (u64, u64, ErrorCode, &'a str);

fn check(text: &str, (line, column, code, part): Refusal<'_>) {
    let error = parse(text).unwrap_err();
    assert_eq!((error.line, error.column, error.code), (line, column, code), "{text}{error}");
    assert!(error.message.contains(part), "{text}{error}");
}

/// `spec` stands in line 4 from column 7 on.
fn check_spec(spec: &str, column: u64, code: ErrorCode, part: &str) {
    check(&with_spec(spec), (4, column, code, part));
}

#[test]
fn keys() {
    for (spec, column, part) in [
        ("{task_board: {enabled: true}}", 8, "`spec.task_board` is not supported in this version: remove it"),
        ("{memory: {graph_memory: {enabled: true}}}", 17, "`spec.memory.graph_memory`"),
        ("{memory: {type: sqlite}}", 17, "the server's store"),
        ("{memory: {budgets: {l2: 100}}}", 27, "no summaries are made"),
        ("{rom: TD}", 8, "write it into `system_prompt`"),
        ("{backend_path: b.yaml}", 8, "backends folder (`backends_dir`)"),
        ("{backend: {name: b, type: sql}}", 27, "keep only its name here"),
        ("{tools: {mcp: [{server: s}]}}", 16, "tools come from"),
        ("{judge_llm: {model: m}}", 8, "under `llm`"),
        ("{config: {allow_code_execution: true}}", 17, "no tool runs code"),
        ("{config: {enable_tracing: false}}", 17, "every turn is traced"),
        ("{config: {patterns: {max_patterns_per_turn: 2}}}", 51, "1 is the most"),
    ] {
        check_spec(spec, column, UnsupportedField, part);
    }
    check_spec(
        "{llm: {temprature: 1}}",
        14,
        UnknownField,
        "`spec.llm.temprature`; did you mean `temperature`?",
    );
    check_spec("{colour: red}", 8, UnknownField, "unknown key `spec.colour`; known here: ");
}

#[test]
fn values() {
    for (spec, column, part) in [
        ("{llm: {temperature: hot}}", 27, "is `hot`, which is not a number from 0 to 2"),
        ("{llm: {top_p: NaN}}", 21, "from 0 to 1"),
        ("{llm: {max_tokens: 1.5}}", 26, "is `1.5`, which is not a whole number from 1 to 2147483647"),
        ("{config: {timeout_seconds: -1}}", 34, "is `-1`"),
        ("{config: {patterns: {enabled: yes}}}", 37, "is `yes`, which is neither true nor false"),
        ("{tools: [a, b, a]}", 22, "`spec.tools` has this name twice"),
        ("{backends: ['']}", 19, "a name has 1 to 128 characters"),
        ("{llm: {stop_sequences: ['']}}", 31, "has an empty text"),
        ("{backend: a, backends: [b]}", 8, "`spec.backends` and `spec.backend` say the same thing"),
        ("{config: {}, behavior: {}}", 20, "`spec.config` and `spec.behavior` say the same thing"),
        ("{llm: {provider: a}, active_provider: b}", 45, "different providers"),
        ("{llm: {max_context_tokens: 9, reserved_output_tokens: 9}}", 61, "leaves no room"),
    ] {
        check_spec(spec, column, InvalidConfig, part);
    }
}

#[test]
fn shapes() {
    for (spec, column, part) in [
        ("{llm: [x]}", 13, "`spec.llm`: expected a section (`key: value` lines), found a list"),
        ("{system_prompt: [x]}", 23, "expected one value, found a list"),
        ("{tools: query}", 15, "expected a list of names (`- name`), found one value"),
        ("{tools: [a, ~]}", 19, "expected one value, found nothing"),
        ("{tools: [a, {name: b}]}", 19, "expected one value, found a section"),
        ("{backend: [a]}", 17, "expected a section"),
    ] {
        check_spec(spec, column, InvalidYaml, part);
    }
}

#[test]
fn whole_files() {
    let table: &[(&str, Refusal<'_>)] = &[
        ("", (1, 1, InvalidYaml, "the file is empty")),
        ("- a\n", (1, 1, InvalidYaml, "the file: expected a section")),
        ("a: 1\na: 2\n", (2, 1, InvalidYaml, "duplicate")),
        (
            "apiVersion: loom/v1\nkind: Backend\nmetadata: {name: a}\nspec: {}\n",
            (2, 7, InvalidConfig, "`kind` must be `Agent`"),
        ),
        (
            "apiVersion: loom/v2\nkind: Agent\nmetadata: {name: a}\nspec: {}\n",
            (1, 13, InvalidConfig, "`apiVersion` must be `loom/v1`"),
        ),
        (
            "kind: Agent\nmetadata: {name: a}\nspec: {}\n",
            (1, 1, InvalidConfig, "`apiVersion` is missing or empty"),
        ),
        (
            "apiVersion: loom/v1\nkind: Agent\nmetadata: {nam: a}\nspec: {}\n",
            (3, 1, InvalidConfig, "`metadata.name` is missing or empty"),
        ),
        (
            "apiVersion: loom/v1\nkind: Agent\nmetadata: {name: a}\n",
            (1, 1, InvalidConfig, "`spec` is missing or empty"),
        ),
        ("agent: {name: a}\nspec: {}\n", (2, 1, InvalidConfig, "`agent` and `spec` say the same thing")),
        ("agent:\n  description: d\n", (1, 1, InvalidConfig, "`agent.name` is missing")),
        ("agent: {name: \"a\\tb\"}\n", (1, 15, InvalidConfig, "no control characters; found `a\\tb`")),
        ("agent: {name: a, metadata: {loom.file: x}}\n", (1, 28, InvalidConfig, "starts with `loom.`")),
    ];
    for (text, refusal) in table {
        check(text, *refusal);
    }
}

#[test]
fn names_have_128_characters_at_most() {
    let named = |chars| format!("agent: {{name: {}}}\n", "é".repeat(chars));
    assert!(parse(&named(128)).is_ok());
    check(&named(129), (1, 15, InvalidConfig, "1 to 128 characters"));
}

#[test]
fn a_budget_that_bounds_nothing() {
    for (spec, column) in [
        ("{budgets: {turn: {on_exceeded: ask}}}", 24),
        ("{budgets: {agent: {per: day}}}", 25),
        ("{budgets: {session: {}}}", 27),
    ] {
        check_spec(spec, column, InvalidConfig, "bounds nothing");
    }
    check_spec(
        "{budgets: {session: {seconds: 5, on_exceeded: degrade}}}",
        27,
        InvalidConfig,
        "has an `on_exceeded` for model calls and no bound for them",
    );
}
