//! The pattern RPCs.

mod files;
mod updates;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use loom_base::ErrorCode;
use loom_proto::v1::{
    GetPatternRequest, ListPatternsRequest, ListPatternsResponse, Pattern, PatternExample, PatternFileError,
    PatternParameter, ReloadPatternsResponse,
};
use loom_store::Page;

use super::convert::{count, page_size};
use super::page_token::{PageToken, Query};
use super::{LoomApi, bounds};
use crate::Failure;

pub(super) use updates::UpdateStream;

/// A pattern of a list, with its score and confidence when the list is ranked.
struct Listed {
    pattern: Arc<loom_patterns::Pattern>,
    score: f64,
    confidence: Option<f64>,
}

impl Listed {
    /// Whether it comes after what a page before ended with.
    fn is_after(&self, last: &PageToken) -> bool {
        match last.score.total_cmp(&self.score) {
            // The highest score comes first; a list without scores is in the order of names.
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => self.pattern.name > last.name,
        }
    }
}

impl LoomApi {
    pub(super) fn pattern_list(
        &self,
        request: &ListPatternsRequest,
    ) -> Result<ListPatternsResponse, Failure> {
        let ListPatternsRequest { domain, category, search, .. } = request;
        let size = page_size("page_size", request.page_size)?.unwrap_or(Page::MAX_LIMIT) as usize;
        let query = Query::new("ListPatterns", &[domain, category, search]);
        let last = query.read(&request.page_token)?;
        let found = self.patterns_for(search).into_iter().filter(|listed| {
            fits_domain(&listed.pattern, domain)
                && (category.is_empty() || listed.pattern.category.as_deref() == Some(category))
        });
        let found: Vec<_> = found.collect();
        let begin = match &last {
            None => 0,
            // Where the last item has moved, the place it had.
            Some(last) => found
                .iter()
                .position(|listed| listed.pattern.name == last.name)
                .map(|at| at + 1)
                .or_else(|| found.iter().position(|listed| listed.is_after(last)))
                .unwrap_or(found.len()),
        };
        let rest = found.get(begin..).unwrap_or_default();
        let wire = rest.iter().take(size).map(|listed| to_wire(&listed.pattern, listed.confidence));
        let patterns = bounds::fitting(wire);
        let is_last = patterns.len() == rest.len();
        let end = patterns.len().checked_sub(1).and_then(|at| rest.get(at)).filter(|_| !is_last);
        let next_page_token =
            end.map(|end| query.after(end.score, &end.pattern.name).to_string()).unwrap_or_default();
        Ok(ListPatternsResponse { total_count: count(found.len() as u64), patterns, next_page_token })
    }

    fn patterns_for(&self, search: &str) -> Vec<Listed> {
        let snapshot = self.patterns.snapshot();
        if search.is_empty() {
            let all = snapshot.iter().cloned();
            return all.map(|pattern| Listed { pattern, score: 0.0, confidence: None }).collect();
        }
        let found = snapshot.search(search, snapshot.len()).into_iter();
        found
            .map(|found| Listed {
                pattern: found.pattern,
                score: found.score,
                confidence: Some(found.confidence),
            })
            .collect()
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
        ReloadPatternsResponse {
            patterns_loaded: count(report.loaded as u64),
            errors: report.errors.iter().map(file_error).collect(),
            changed: report.changed,
            removed: report.removed,
        }
    }
}

/// Whether the pattern is of that domain, or of one of the family that it names: `sql` of `sql-core`.
fn fits_domain(pattern: &loom_patterns::Pattern, wanted: &str) -> bool {
    let rest = pattern.domain.strip_prefix(wanted);
    wanted.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn file_error(error: &loom_patterns::PatternError) -> PatternFileError {
    PatternFileError {
        file: error.file.to_string(),
        line: count(error.position.line),
        column: count(error.position.column),
        message: error.message.clone(),
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
