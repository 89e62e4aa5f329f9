//! Whose signature stands in a thinking block.
//!
//! A provider accepts only what it signed itself, and a conversation may go on with another one. So a signature is stored
//! with its provider's name before it; one without a name is Anthropic's, whose own texts have no `:`.

use std::sync::Arc;

/// The signature `value` of `provider`, as it is stored.
pub fn of(provider: &str, value: &str) -> Arc<str> {
    format!("{provider}:{value}").into()
}

/// What `provider` signed with, when the stored `signature` is its own.
pub fn made_by<'a>(provider: &str, signature: &'a str) -> Option<&'a str> {
    match signature.split_once(':') {
        Some((name, value)) => (name == provider).then_some(value),
        None => (provider == UNNAMED).then_some(signature),
    }
}

const UNNAMED: &str = "anthropic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_goes_back_to_whom_it_came_from() {
        assert_eq!(made_by("gemini", &of("gemini", "QUJD")), Some("QUJD"));
        assert_eq!(made_by("anthropic", &of("gemini", "QUJD")), None);
        assert_eq!(made_by("anthropic", "QUJD"), Some("QUJD"));
        assert_eq!(made_by("gemini", "QUJD"), None);
    }
}
