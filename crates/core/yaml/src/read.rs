//! Reads YAML into a type that knows its keys.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, UserMessageFormatter};

use loom_base::nearest;

use crate::Position;

/// Why a YAML text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", position.line, position.column)]
pub struct YamlError {
    /// Where.
    pub position: Position,
    /// Whether it is a key that the format does not have.
    pub unknown_key: bool,
    /// What is wrong, and what would be right when that can be guessed.
    pub message: String,
}

/// Reads one YAML document into `T`. `T` decides which keys exist.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_saphyr::from_str(text).map_err(|error| describe(error.without_snippet()))
}

/// The sentence for a key that is not among `expected`.
pub fn unknown_key(key: &str, expected: &[&str]) -> String {
    match nearest(key, expected.iter().copied()) {
        Some(meant) => format!("unknown key `{key}`; did you mean `{meant}`?"),
        None => format!("unknown key `{key}`; known here: {}", expected.join(", ")),
    }
}

fn describe(error: &Error) -> YamlError {
    let position = error.location().map(Position::from).unwrap_or_default();
    if let Error::SerdeUnknownField { field, expected, .. } = error {
        return YamlError { position, unknown_key: true, message: unknown_key(field, expected) };
    }
    let rendered = error.render_with_formatter(&UserMessageFormatter);
    let suffix = format!(" at line {}, column {}", position.line, position.column);
    let message = rendered.strip_suffix(&suffix).unwrap_or(&rendered).to_owned();
    YamlError { position, unknown_key: false, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "read for its type only")]
        title: String,
    }

    #[test]
    fn says_where_and_what_was_meant() {
        let error = read::<Sample>("title: x\ntitel: y\n").unwrap_err();
        assert_eq!(error.to_string(), "2:1: unknown key `titel`; did you mean `title`?");
        assert!(error.unknown_key);
        let error = read::<Sample>("title: [\n").unwrap_err();
        assert_eq!(error.to_string(), "1:8: expected string scalar");
    }
}
