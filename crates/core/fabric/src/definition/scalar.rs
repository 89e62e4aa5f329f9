//! Turns the written values of a definition into typed ones, with the place of each mistake.

use std::str::FromStr;

use serde_saphyr::Spanned;

use loom_base::{ErrorCode, expand_variables};
use loom_yaml::Position;

use super::DefinitionError;

/// A scalar as written: numbers and truth values are read only after `${VAR}` is expanded.
pub(super) type Scalar = Spanned<String>;

/// What is needed to read the values of one file.
pub(super) struct Scope<'a> {
    pub(super) file: &'a str,
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Scope<'_> {
    pub(super) fn error(
        &self,
        code: ErrorCode,
        position: Position,
        message: impl Into<String>,
    ) -> DefinitionError {
        DefinitionError { code, file: self.file.to_owned(), position, message: message.into() }
    }

    pub(super) fn invalid(&self, at: &Scalar, message: impl Into<String>) -> DefinitionError {
        self.error(ErrorCode::InvalidConfig, at.referenced.into(), message)
    }

    pub(super) fn unsupported(&self, position: Position, message: impl Into<String>) -> DefinitionError {
        self.error(ErrorCode::UnsupportedField, position, message)
    }

    /// The text with its `${VAR}` and `${VAR:-default}` replaced. What they are replaced by is taken as it is.
    pub(super) fn text(&self, scalar: &Scalar) -> Result<String, DefinitionError> {
        let mut lookup = |name: &str| (self.lookup)(name);
        expand_variables(&scalar.value, &mut lookup).map_err(|error| self.invalid(scalar, error.to_string()))
    }

    /// A value of `T`, which in words is `kind`.
    pub(super) fn parse<T: FromStr>(&self, scalar: &Scalar, kind: &str) -> Result<T, DefinitionError> {
        let text = self.text(scalar)?;
        text.trim().parse().map_err(|_| self.invalid(scalar, format!("`{text}` is not {kind}")))
    }

    pub(super) fn parse_optional<T: FromStr>(
        &self,
        scalar: Option<&Scalar>,
        kind: &str,
    ) -> Result<Option<T>, DefinitionError> {
        scalar.map(|scalar| self.parse(scalar, kind)).transpose()
    }
}
