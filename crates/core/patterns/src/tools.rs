//! The tools with which an agent finds and reads patterns.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use loom_base::{ErrorCode, nearest};
use loom_llm::{ToolDefinition, ToolRole};
use loom_tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};

use crate::{Match, Source};

/// How many patterns a search shows when the caller does not say.
const DEFAULT_LIMIT: u64 = 5;
/// The most it shows.
const MAX_LIMIT: u64 = 20;
/// Both tools only look at memory; this is generous.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The tools `search_patterns` and `load_pattern` over `source`.
pub fn pattern_tools(source: Arc<dyn Source>) -> Vec<Arc<dyn Tool>> {
    let search = SearchPatterns {
        source: Arc::clone(&source),
        spec: spec(
            "search_patterns",
            "Finds patterns (tested ways to answer a kind of question) that fit a question, best first, each with a \
             confidence and the parameters it needs. Search before writing a query of your own; run a match with \
             run_pattern.",
            json!({
                "type": "object",
                "properties": {
                    "question": {"type": "string", "description": "the question, as the user asked it"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
                },
                "required": ["question"],
                "additionalProperties": false,
            }),
            ToolRole::SearchPatterns,
        ),
    };
    let load = LoadPattern {
        source,
        spec: spec(
            "load_pattern",
            "Shows one pattern whole: its parameters, templates, examples, advice and common errors.",
            json!({
                "type": "object",
                "properties": {"name": {"type": "string", "description": "the pattern's name"}},
                "required": ["name"],
                "additionalProperties": false,
            }),
            ToolRole::LoadPattern,
        ),
    };
    vec![Arc::new(search), Arc::new(load)]
}

fn spec(name: &str, description: &str, input_schema: Value, role: ToolRole) -> ToolSpec {
    ToolSpec {
        definition: ToolDefinition {
            name: name.into(),
            description: description.into(),
            input_schema,
            role: Some(role),
        },
        effect: EffectClass::Pure,
        timeout: TIMEOUT,
        backend: None,
    }
}

struct SearchPatterns {
    source: Arc<dyn Source>,
    spec: ToolSpec,
}

#[async_trait]
impl Tool for SearchPatterns {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _context: ToolContext) -> Result<ToolOutput, ToolError> {
        let question = text_argument(&input, "question")?;
        let limit = input["limit"].as_u64().unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let matches = self.source.snapshot().search(question, usize::try_from(limit).unwrap_or(usize::MAX));
        let best = matches.first().map(|best| (best.pattern.name.clone(), best.confidence));
        let shown: Vec<Value> = matches.iter().map(summary).collect();
        let output = ToolOutput::new(json!({ "patterns": shown }));
        Ok(match best {
            Some((name, confidence)) => output.fact("pattern", name).fact("confidence", rounded(confidence)),
            None => output,
        })
    }
}

fn summary(found: &Match) -> Value {
    let pattern = &found.pattern;
    let parameters: Vec<Value> = pattern
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "type": parameter.kind_text,
                "required": parameter.required,
                "description": parameter.description,
                "default": parameter.default,
            })
        })
        .collect();
    json!({
        "name": pattern.name,
        "title": pattern.title,
        "description": pattern.description,
        "domain": pattern.domain,
        "confidence": rounded(found.confidence),
        "executable": pattern.is_executable(),
        "parameters": parameters,
    })
}

/// Three digits are all that a confidence can mean.
fn rounded(confidence: f64) -> f64 {
    (confidence * 1000.0).round() / 1000.0
}

struct LoadPattern {
    source: Arc<dyn Source>,
    spec: ToolSpec,
}

#[async_trait]
impl Tool for LoadPattern {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _context: ToolContext) -> Result<ToolOutput, ToolError> {
        let name = text_argument(&input, "name")?;
        let snapshot = self.source.snapshot();
        let Some(pattern) = snapshot.get(name) else {
            let message = match nearest(name, snapshot.iter().map(|pattern| pattern.name.as_str())) {
                Some(meant) => format!("no pattern is called `{name}`; did you mean `{meant}`?"),
                None => format!("no pattern is called `{name}`; search_patterns finds them"),
            };
            return Err(ToolError::failed(ErrorCode::PatternNotFound, message));
        };
        let data = serde_json::to_value(&**pattern)
            .map_err(|error| ToolError::failed(ErrorCode::Internal, error.to_string()))?;
        Ok(ToolOutput::new(data).fact("pattern", pattern.name.clone()))
    }
}

fn text_argument<'a>(input: &'a Value, name: &str) -> Result<&'a str, ToolError> {
    input[name].as_str().ok_or_else(|| {
        ToolError::failed(ErrorCode::InvalidArgument, format!("argument `{name}` must be a text"))
    })
}

#[cfg(test)]
mod tests;
