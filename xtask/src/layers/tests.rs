//! The rules, tried on a small house and on ours.

use super::graph::{Crate, Dependency, Kind, read};
use super::rules::violations;

fn house(edges: &[(&str, &str, Kind)]) -> Vec<Crate> {
    let folders = [
        ("loom-migrations", "migrations"),
        ("loom-pattern-library", "patterns"),
        ("loom-base", "crates/core/base"),
        ("loom-llm", "crates/core/llm"),
        ("loom-http-client", "crates/infra/http-client"),
        ("loom-llm-openai", "crates/infra/llm-openai"),
        ("loom-store-sql", "crates/infra/store-sql"),
        ("loom-store-sqlite", "crates/infra/store-sqlite"),
        ("loom-runtime", "crates/domain/runtime"),
        ("loom-proto", "crates/server/proto"),
        ("loom-api", "crates/server/api"),
        ("loom-cli", "crates/client/cli"),
        ("loom-embed", "crates/embed"),
        ("looms", "crates/bin/looms"),
        ("loom-testkit", "crates/testkit"),
        ("xtask", "xtask"),
    ];
    let mut crates: Vec<Crate> = folders
        .iter()
        .map(|(name, folder)| Crate {
            name: (*name).into(),
            folder: (*folder).into(),
            dependencies: Vec::new(),
        })
        .collect();
    for (from, to, kind) in edges {
        let from = crates.iter_mut().find(|one| one.name == *from).unwrap();
        from.dependencies.push(Dependency { name: (*to).into(), kind: *kind });
    }
    crates
}

fn only(edge: (&str, &str, Kind)) -> Vec<String> {
    violations(&house(&[edge])).iter().map(ToString::to_string).collect()
}

#[test]
fn the_edges_of_the_design_are_allowed() {
    let edges = [
        ("loom-llm", "loom-base", Kind::Normal),
        ("loom-llm-openai", "loom-http-client", Kind::Normal),
        ("loom-llm-openai", "loom-testkit", Kind::Dev),
        ("loom-store-sqlite", "loom-store-sql", Kind::Normal),
        ("loom-store-sqlite", "loom-migrations", Kind::Normal),
        ("loom-store-sqlite", "loom-pattern-library", Kind::Dev),
        ("loom-pattern-library", "loom-llm", Kind::Dev),
        ("loom-store-sqlite", "sqlx", Kind::Normal),
        ("loom-api", "loom-runtime", Kind::Normal),
        ("loom-api", "tonic-health", Kind::Normal),
        ("loom-cli", "loom-proto", Kind::Normal),
        ("loom-embed", "loom-llm-openai", Kind::Normal),
        ("loom-embed", "loom-pattern-library", Kind::Normal),
        ("looms", "loom-embed", Kind::Normal),
        ("looms", "anyhow", Kind::Normal),
        ("loom-llm", "anyhow", Kind::Dev),
        ("loom-testkit", "loom-runtime", Kind::Normal),
        ("loom-testkit", "axum", Kind::Normal),
        ("xtask", "loom-base", Kind::Normal),
    ];
    assert_eq!(violations(&house(&edges)), Vec::new());
}

#[test]
fn a_forbidden_edge_is_caught_with_its_rule_and_its_cure() {
    let found = only(("loom-runtime", "loom-store-sqlite", Kind::Normal));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("loom-runtime -> loom-store-sqlite\n"), "{}", found[0]);
    assert!(found[0].contains("rule: domain depends on core and domain only"), "{}", found[0]);
    assert!(found[0].contains("cure: "), "{}", found[0]);
}

#[test]
fn every_kind_of_climbing_edge_is_caught() {
    let edges = [
        ("loom-base", "loom-runtime"),
        ("loom-llm", "loom-llm-openai"),
        ("loom-llm-openai", "loom-store-sqlite"),
        ("loom-llm-openai", "loom-runtime"),
        ("loom-store-sqlite", "loom-pattern-library"),
        ("loom-runtime", "loom-migrations"),
        ("loom-runtime", "loom-api"),
        ("loom-api", "loom-embed"),
        ("loom-cli", "loom-api"),
        ("loom-cli", "loom-runtime"),
        ("loom-embed", "looms"),
        ("looms", "loom-runtime"),
        ("loom-migrations", "loom-base"),
        ("loom-api", "loom-testkit"),
        ("loom-base", "xtask"),
        ("xtask", "loom-embed"),
    ];
    for (from, to) in edges {
        assert_eq!(only((from, to, Kind::Normal)).len(), 1, "{from} -> {to}");
    }
}

#[test]
fn a_forbidden_dev_edge_is_caught() {
    for (from, to) in [("loom-llm", "loom-testkit"), ("loom-runtime", "loom-store-sqlite")] {
        let found = only((from, to, Kind::Dev));
        assert_eq!(found.len(), 1, "{from} -> {to}");
        assert!(found[0].starts_with(&format!("{from} -> {to} (dev)")), "{}", found[0]);
    }
}

#[test]
fn a_foreign_owner_is_caught() {
    let edges = [
        ("loom-runtime", "sqlx", Kind::Normal),
        ("loom-llm", "tonic", Kind::Dev),
        ("xtask", "tonic", Kind::Normal),
        ("loom-cli", "axum", Kind::Normal),
        ("loom-llm-openai", "reqwest", Kind::Normal),
        ("loom-runtime", "opentelemetry_sdk", Kind::Normal),
        ("loom-runtime", "tracing-opentelemetry", Kind::Normal),
        ("loom-embed", "anyhow", Kind::Normal),
    ];
    for edge in edges {
        assert_eq!(only(edge).len(), 1, "{edge:?}");
    }
}

#[test]
fn a_crate_outside_the_house_or_under_a_wrong_name_is_caught() {
    let mut crates = house(&[]);
    crates.push(Crate { name: "loom-lost".into(), folder: "crates/lost".into(), dependencies: Vec::new() });
    crates.push(Crate { name: "loom".into(), folder: "crates/core/loom".into(), dependencies: Vec::new() });
    assert_eq!(violations(&crates).len(), 2);
}

#[test]
fn this_workspace_keeps_its_layers() {
    let found = violations(&read(&crate::workspace::root()).unwrap());
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", text.join("\n"));
}
