//! `${VAR}` in a written value.

/// A text whose variables cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// A reference that does not end.
    #[error("`${{` without a closing `}}` (write `$${{` for the characters themselves)")]
    Open,
    /// A reference to something that no variable can be called.
    #[error("`${{...}}` holds no name of a variable (letters, digits and `_`)")]
    Name,
    /// A variable without a value and without a default.
    #[error("the variable {name} is not set; `${{{name}:-...}}` would give a default")]
    Unset {
        /// The variable.
        name: String,
    },
}

/// `text` with each `${VAR}` and `${VAR:-default}` replaced by what `lookup` says. A variable that is empty counts as
/// unset; `$${` stands for `${`. What is filled in is taken as it is, not looked at again.
pub fn expand_variables(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<String, VariableError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once("${") {
        if let Some(plain) = before.strip_suffix('$') {
            out.push_str(plain);
            out.push_str("${");
            rest = inner;
            continue;
        }
        out.push_str(before);
        let (inside, behind) = inner.split_once('}').ok_or(VariableError::Open)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) {
            return Err(VariableError::Name);
        }
        let value = lookup(name).filter(|value| !value.is_empty());
        let unset = || VariableError::Unset { name: name.to_owned() };
        out.push_str(value.as_deref().or(default).ok_or_else(unset)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether a variable can be called `name`: letters, digits and `_`, not a digit first.
pub fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, VariableError> {
        let mut lookup = |name: &str| match name {
            "HOST" => Some("db.example".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand_variables(text, &mut lookup)
    }

    #[test]
    fn variables_defaults_and_escapes() {
        assert_eq!(expanded("http://${HOST}:${PORT:-80}/${EMPTY:-e}").unwrap(), "http://db.example:80/e");
        assert_eq!(expanded("$HOME costs 5$ and $${HOST}").unwrap(), "$HOME costs 5$ and ${HOST}");
        assert_eq!(expanded("${HOST:-}").unwrap(), "db.example");
        assert_eq!(expanded("${PORT:-}").unwrap(), "");
    }

    #[test]
    fn what_cannot_be_expanded_is_refused() {
        assert_eq!(expanded("${PORT}"), Err(VariableError::Unset { name: "PORT".into() }));
        assert_eq!(expanded("${EMPTY}"), Err(VariableError::Unset { name: "EMPTY".into() }));
        assert_eq!(expanded("${HOST"), Err(VariableError::Open));
        for text in ["${}", "${a-b}", "${1A}", "${ HOST }"] {
            assert_eq!(expanded(text), Err(VariableError::Name), "{text}");
        }
    }
}
