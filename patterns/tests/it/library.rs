//! Every file loads and keeps the house's rules for patterns.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom_patterns::{ParameterKind, Registry, Snapshot, Source};

pub(crate) fn snapshot() -> Arc<Snapshot> {
    let (registry, report) = Registry::with_built_in(loom_pattern_library::files().iter().copied());
    assert_eq!(report.errors, []);
    registry.snapshot()
}

#[test]
fn the_four_libraries_load_without_error() {
    let snapshot = snapshot();
    let domains: BTreeSet<&str> = snapshot.iter().map(|pattern| pattern.domain.as_str()).collect();
    assert_eq!(domains, ["postgres", "sql-analytics", "sql-core", "sql-quality"].into());
    assert!(snapshot.len() >= 16, "{} patterns", snapshot.len());
    assert_eq!(snapshot.len(), loom_pattern_library::files().len(), "one pattern a file");
}

#[test]
fn every_pattern_is_complete() {
    let snapshot = snapshot();
    for pattern in snapshot.iter() {
        let name = &pattern.name;
        assert!(pattern.file.ends_with(&format!("/{name}.yaml")), "{name} is in {}", pattern.file);
        assert!(pattern.intents.len() >= 3, "{name} needs questions as users ask them");
        assert!(!pattern.use_cases.is_empty() && !pattern.examples.is_empty(), "{name}");
        for (key, template) in &pattern.templates {
            assert!(template.executable().is_ok(), "{name}.{key}: {:?}", template.executable());
        }
        for parameter in &pattern.parameters {
            assert!(parameter.kind().is_some(), "{name}.{}", parameter.name);
            assert!(parameter.required != parameter.default.is_some(), "{name}.{}", parameter.name);
            assert_eq!(
                parameter.default.is_some(),
                parameter.kind() == Some(ParameterKind::Number),
                "{name}.{}: numbers have a default, names have none",
                parameter.name
            );
        }
        for related in &pattern.related_patterns {
            assert!(snapshot.get(related).is_some(), "{name} relates to {related}");
        }
        for example in &pattern.examples {
            for (given, _) in &example.parameters {
                assert!(pattern.parameter(given).is_some(), "{name}: example gives {given}");
            }
            for needed in pattern.parameters.iter().filter(|parameter| parameter.required) {
                assert!(
                    example.parameters.contains_key(&needed.name),
                    "{name}: example lacks {}",
                    needed.name
                );
            }
        }
    }
}
