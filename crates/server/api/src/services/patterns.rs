//! The pattern RPCs.

use std::collections::BTreeMap;

use loom_base::ErrorCode;
use loom_proto::v1::{
    GetPatternRequest, ListPatternsRequest, ListPatternsResponse, Pattern, PatternExample, PatternFileError,
    PatternParameter, ReloadPatternsResponse,
};

use super::LoomApi;
use super::convert::count;
use crate::Failure;

impl LoomApi {
    pub(super) fn pattern_list(&self, request: &ListPatternsRequest) -> ListPatternsResponse {
        let snapshot = self.patterns.snapshot();
        let found: Vec<_> = if request.search.is_empty() {
            snapshot.iter().cloned().map(|pattern| (pattern, None)).collect()
        } else {
            let found = snapshot.search(&request.search, snapshot.len());
            found.into_iter().map(|found| (found.pattern, Some(found.confidence))).collect()
        };
        let category = |pattern: &loom_patterns::Pattern| pattern.category.clone().unwrap_or_default();
        let fits = |pattern: &loom_patterns::Pattern| {
            (request.domain.is_empty() || pattern.domain == request.domain)
                && (request.category.is_empty() || category(pattern) == request.category)
        };
        let patterns: Vec<_> = found
            .into_iter()
            .filter(|(pattern, _)| fits(pattern))
            .map(|(pattern, confidence)| to_wire(&pattern, confidence))
            .collect();
        ListPatternsResponse { total_count: count(patterns.len() as u64), patterns }
    }

    pub(super) fn pattern_get(&self, request: &GetPatternRequest) -> Result<Pattern, Failure> {
        let snapshot = self.patterns.snapshot();
        let found = snapshot.get(&request.name).map(|pattern| to_wire(pattern, None));
        found.ok_or_else(|| {
            let nearest =
                loom_base::nearest(&request.name, snapshot.iter().map(|pattern| pattern.name.as_str()));
            let hint = nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            Failure::new(ErrorCode::PatternNotFound, format!("no pattern is called {:?}{hint}", request.name))
        })
    }

    pub(super) async fn pattern_reload(&self) -> ReloadPatternsResponse {
        let report = self.patterns.reload().await;
        let error = |error: &loom_patterns::PatternError| PatternFileError {
            file: error.file.to_string(),
            line: count(error.position.line),
            column: count(error.position.column),
            message: error.message.clone(),
        };
        ReloadPatternsResponse {
            patterns_loaded: count(report.loaded as u64),
            errors: report.errors.iter().map(error).collect(),
            changed: report.changed,
            removed: report.removed,
        }
    }
}

fn to_wire(pattern: &loom_patterns::Pattern, confidence: Option<f64>) -> Pattern {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parameter = |parameter: &loom_patterns::Parameter| PatternParameter {
        name: parameter.name.clone(),
        r#type: parameter.kind_text.clone(),
        required: parameter.required,
        default_value: parameter.default.as_ref().map(text).unwrap_or_default(),
        description: parameter.description.clone(),
    };
    let example = |example: &loom_patterns::Example| PatternExample {
        input: serde_json::to_string(&example.parameters).unwrap_or_default(),
        output: example.expected_result.clone(),
        description: example.description.clone(),
    };
    let mut backend_hints = BTreeMap::new();
    if let Some(backend) = &pattern.backend_type {
        backend_hints.insert("backend_type".to_owned(), backend.clone());
    }
    for (key, template) in &pattern.templates {
        backend_hints.insert(format!("template.{key}"), template.content.clone());
    }
    if let Some(confidence) = confidence {
        backend_hints.insert("confidence".to_owned(), format!("{confidence:.3}"));
    }
    Pattern {
        name: pattern.name.clone(),
        domain: pattern.domain.clone(),
        category: pattern.category.clone().unwrap_or_default(),
        description: pattern.description.clone(),
        parameters: pattern.parameters.iter().map(parameter).collect(),
        examples: pattern.examples.iter().map(example).collect(),
        backend_hints,
        tags: pattern.tags.clone(),
    }
}
