//! What is wrong with an agent file: everything at once, the first in the file first.

use std::fmt;

use loom_base::ErrorCode;
use loom_yaml::Position;

use crate::Error;

/// Problems that a message shows; a file with more is counted out.
const MAX_SHOWN: usize = 20;

/// Why an agent file is refused. `Display` has one line for each problem, `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFileError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line of the first problem, from 1.
    pub line: u64,
    /// Its column in characters, from 1.
    pub column: u64,
    /// Its stable code.
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub message: String,
    /// The other problems, in the order of the file.
    pub others: Vec<AgentFileProblem>,
}

/// One thing that is wrong with an agent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFileProblem {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub message: String,
}

impl AgentFileProblem {
    /// Something wrong at `position`; the start of the file where that is not known.
    pub(super) fn new(position: Position, code: ErrorCode, message: &str) -> Self {
        Self { line: position.line.max(1), column: position.column.max(1), code, message: one_line(message) }
    }
}

impl AgentFileError {
    pub(super) fn new(file: &str, first: AgentFileProblem, others: Vec<AgentFileProblem>) -> Self {
        let AgentFileProblem { line, column, code, message } = first;
        Self { file: file.to_owned(), line, column, code, message, others }
    }

    /// The error that tells of all `problems`; `None` when there are none.
    pub(super) fn first_of(file: &str, problems: Vec<AgentFileProblem>) -> Option<Self> {
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(Self::new(file, first, problems.collect()))
    }
}

impl fmt::Display for AgentFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        for other in self.others.iter().take(MAX_SHOWN - 1) {
            write!(f, "\n{}:{}:{}: {}", self.file, other.line, other.column, other.message)?;
        }
        match self.others.len().saturating_sub(MAX_SHOWN - 1) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for AgentFileError {}

impl From<AgentFileError> for Error {
    fn from(error: AgentFileError) -> Self {
        Self::new(error.code, error.to_string())
    }
}

/// `message` with control characters escaped: what a file holds cannot break the line or drive the terminal.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}
