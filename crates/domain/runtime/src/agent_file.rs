//! Reads agent files: `kind: Agent` with `metadata` and `spec`, or the older form with everything under `agent`.
//!
//! A key is honoured or refused with its place, never ignored. `docs/reference/agent-file.md` lists them all.

mod body;
mod budgets;
mod document;
mod error;
mod fields;
mod hooks;
mod llm;
mod permissions;
mod tree;
mod value;

use loom_base::ErrorCode;
use loom_yaml::Position;

use crate::{AgentDefinition, Error};

pub use error::{AgentFileError, AgentFileProblem};

/// An agent file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentFile {
    /// The agent it defines.
    pub definition: AgentDefinition,
    file: String,
    places: Places,
}

/// Where the keys stand that name things outside the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    name: Position,
    body: Position,
    llm: Option<Position>,
    backends: Option<Position>,
    patterns: Option<Position>,
    hooks: Option<Position>,
}

impl AgentFile {
    /// `error`, with which this definition was turned down after it was read, as an error of the file: at the key it
    /// speaks of where that is known, else where the agent's description starts.
    pub fn refused(&self, error: &Error) -> AgentFileError {
        let places = &self.places;
        let place = match error.code {
            ErrorCode::AgentExists => Some(places.name),
            ErrorCode::BackendNotFound => places.backends,
            ErrorCode::PatternNotFound => places.patterns,
            ErrorCode::InvalidConfig => places.hooks,
            ErrorCode::NoProvider | ErrorCode::ModelNotFound | ErrorCode::Credential => places.llm,
            _ => None,
        };
        let problem = AgentFileProblem::new(place.unwrap_or(places.body), error.code, &error.message);
        AgentFileError::new(&self.file, problem, Vec::new())
    }
}

/// Reads an agent file. `file` stands in messages. Each value goes through `expand`, which replaces `${VAR}` and
/// `${VAR:-default}` or says why it cannot; keys do not. Messages show a value as it was written, not as expanded.
pub fn parse_agent(
    file: &str,
    text: &str,
    expand: &dyn Fn(&str) -> Result<String, String>,
) -> Result<AgentFile, AgentFileError> {
    let problems = fields::Problems::default();
    let read = tree::Node::parse(text, expand, &problems).and_then(|root| document::read(&root, &problems));
    match (AgentFileError::first_of(file, problems.into_sorted()), read) {
        (Some(error), _) => Err(error),
        (None, Some((definition, places))) => Ok(AgentFile { definition, file: file.to_owned(), places }),
        (None, None) => {
            let message = "the file holds no agent, and no problem was found in it";
            let problem = AgentFileProblem::new(Position::default(), ErrorCode::Internal, message);
            Err(AgentFileError::new(file, problem, Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests;
