//! Reads pattern files again and writes new ones.

use loom_base::ErrorCode;
use loom_patterns::{Existing, FilesError, Loaded, NewPattern, Pattern, Reading};
use loom_proto::v1::{
    CreatePatternRequest, CreatePatternResponse, LoadPatternsRequest, LoadPatternsResponse,
};

use super::super::LoomApi;
use super::super::convert::{count, invalid};
use super::{file_error, fits_domain};
use crate::Failure;

/// The longest path that is looked at.
const PATH_BYTES: usize = 1_024;
/// The most domains that a request names.
const DOMAINS: usize = 64;

/// Says whether a pattern is one that the request's agent can use.
type Usable = Box<dyn Fn(&Pattern) -> bool + Send + Sync>;

impl LoomApi {
    pub(in crate::services) async fn pattern_load(
        &self,
        request: &LoadPatternsRequest,
    ) -> Result<LoadPatternsResponse, Failure> {
        let place = match (request.source.as_str(), request.directory.as_str()) {
            ("", "") => None,
            (place, "") | ("", place) => Some(place),
            (source, directory) if source == directory => Some(source),
            _ => return Err(invalid("directory", "directory is another word for source: give one of them")),
        };
        if place.is_some_and(|place| place.len() > PATH_BYTES) {
            return Err(invalid("source", format!("a path has at most {PATH_BYTES} bytes")));
        }
        if request.domains.len() > DOMAINS {
            return Err(invalid("domains", format!("at most {DOMAINS} domains are named at once")));
        }
        let usable = self.usable_by(&request.agent_id)?;
        let reading = if request.force_reload { Reading::All } else { Reading::Changed };
        let Loaded { report, patterns } =
            self.patterns.load(place, reading).await.map_err(|error| refused(error, "source"))?;
        let is_wanted = |pattern: &Pattern| {
            let domains = &request.domains;
            usable(pattern)
                && (domains.is_empty() || domains.iter().any(|domain| fits_domain(pattern, domain)))
        };
        let wanted = patterns.iter().filter(|pattern| is_wanted(pattern));
        let pattern_names: Vec<_> = wanted.map(|pattern| pattern.name.clone()).collect();
        Ok(LoadPatternsResponse {
            patterns_loaded: count(pattern_names.len() as u64),
            pattern_names,
            errors: report.errors.iter().map(ToString::to_string).collect(),
            failed: report.errors.iter().map(file_error).collect(),
            changed: report.changed,
            removed: report.removed,
        })
    }

    pub(in crate::services) async fn pattern_create(
        &self,
        request: CreatePatternRequest,
    ) -> Result<CreatePatternResponse, Failure> {
        let usable = self.usable_by(&request.agent_id)?;
        if !request.agent_id.is_empty()
            && let Ok(patterns) = loom_patterns::parse("pattern.yaml", &request.yaml_content)
            && let Some(pattern) = patterns.iter().find(|pattern| !usable(pattern))
        {
            let engine = pattern.backend_type.as_deref().unwrap_or_default();
            let message = format!("the agent {:?} has no backend of the engine {engine:?}", request.agent_id);
            return Err(Failure::new(ErrorCode::InvalidPattern, message).with("field", "agent_id"));
        }
        let new = NewPattern {
            name: request.name,
            library: request.domain,
            text: request.yaml_content,
            existing: if request.overwrite { Existing::Replace } else { Existing::Keep },
        };
        let created = self.patterns.create(new).await.map_err(|error| refused(error, "name"))?;
        Ok(CreatePatternResponse {
            success: true,
            pattern_name: created.pattern.name.clone(),
            error: String::new(),
            file_path: created.path,
        })
    }

    /// Says which patterns the agent of that id or name can use; all of them when none is named.
    pub(super) fn usable_by(&self, agent: &str) -> Result<Usable, Failure> {
        if agent.is_empty() {
            return Ok(Box::new(|_| true));
        }
        let agents = self.runtime.agents();
        let agent = agents.get(agent)?;
        let built = agents.built(&agent)?;
        Ok(Box::new(move |pattern| built.can_use(pattern)))
    }
}

fn refused(error: FilesError, field: &'static str) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    match error {
        FilesError::Invalid(problem) => failure
            .with("field", "yaml_content")
            .with("line", problem.position.line.to_string())
            .with("column", problem.position.column.to_string()),
        FilesError::Name { what, .. } if what.starts_with("library") => failure.with("field", "domain"),
        FilesError::Exists { name, .. } => failure.with("pattern", name),
        FilesError::Outside { .. } | FilesError::Missing { .. } | FilesError::Name { .. } => {
            failure.with("field", field)
        }
        FilesError::ReadOnly { .. } => failure,
    }
}
