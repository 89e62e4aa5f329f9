//! What is wrong with a configuration: everything at once, each with its place.

use std::fmt;

use loom_base::ErrorCode;

use crate::Source;

/// One thing that is wrong. Its `Display` is one line: `file:line:column: message`, or the flag or variable in place of
/// the position. It never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .source_of_value.place())]
pub struct ConfigError {
    pub(crate) code: ErrorCode,
    pub(crate) source_of_value: Source,
    pub(crate) message: String,
}

impl ConfigError {
    pub(crate) fn new(code: ErrorCode, source: Source, message: impl Into<String>) -> Self {
        Self { code, source_of_value: source, message: one_line(message.into()) }
    }

    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Where the wrong thing was said.
    pub const fn place(&self) -> &Source {
        &self.source_of_value
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// `message` with control characters escaped: what a file holds cannot break the line or drive the terminal.
fn one_line(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

/// Everything that is wrong with a configuration, in the order of sources and lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Err` with all of `errors` in order, or `Ok` when there are none.
    pub(crate) fn check(mut errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by(|left, right| left.source_of_value.cmp(&right.source_of_value));
        errors.dedup();
        Err(Self(errors))
    }

    /// The errors, in the order of sources and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What is wrong with one value, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Line and column, when a part of the value has its own.
    pub(crate) at: Option<loom_yaml::Position>,
}

impl Fault {
    /// The value cannot be used.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::InvalidConfig, message: message.into(), at: None }
    }

    /// The value names something that is not in this version.
    pub(crate) fn unbuilt(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::UnsupportedField, message: message.into(), at: None }
    }
}
