//! Secrets: the configuration says where one is, and it is read when it is needed.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use loom_base::{ErrorCode, Secret};

use crate::Environment;
use crate::error::Fault;
use crate::source::Source;
use crate::value::{Given, Value};
use loom_base::is_variable_name;
use loom_yaml::Shape;

/// The largest file that is read as a secret, in bytes: more than any key or certificate.
const MAX_FILE: u64 = 64 * 1024;

/// Where a secret is: in the file that the variable `NAME_FILE` names or, when there is no such variable, in the
/// variable `NAME`. It never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    variable: String,
}

impl SecretRef {
    /// The secret in the variable `variable`, or in the file that `{variable}_FILE` names.
    pub fn in_variable(variable: impl Into<String>) -> Self {
        Self { variable: variable.into() }
    }

    pub(crate) fn known(variable: &'static str) -> Self {
        Self::in_variable(variable)
    }

    /// The name of the variable.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// The variable that names a file with the secret.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable)
    }

    fn read_from(given: &Given<'_>) -> Result<Option<Self>, Fault> {
        let text = match &given.node.shape {
            Shape::Null => return Ok(None),
            Shape::Text(text) => text,
            Shape::List(_) | Shape::Map(_) => return Err(plain_text()),
        };
        let variable = match given.source {
            Source::Flag(_) => {
                return Err(Fault::invalid(
                    "a flag cannot carry a secret, other users would see it: set a variable",
                ));
            }
            Source::Environment(variable) => variable.as_str(),
            Source::File(_) | Source::Profile { .. } | Source::Default => text
                .strip_prefix("${")
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|name| is_variable_name(name) && !name.bytes().any(|byte| byte.is_ascii_lowercase()))
                .ok_or_else(plain_text)?,
        };
        given.used.borrow_mut().extend([variable.to_owned(), format!("{variable}_FILE")]);
        Ok(Some(Self::in_variable(variable)))
    }
}

/// The text is never shown: it may be the secret.
fn plain_text() -> Fault {
    Fault::invalid(
        "a secret is not written into a file: put it into an environment variable and write `${NAME_OF_IT}`, or put \
         it into a file of its own and set `NAME_OF_IT_FILE` to that file's path",
    )
}

fn show(secret: &SecretRef) -> String {
    format!("[redacted] (from {} or {})", secret.file_variable(), secret.variable)
}

/// What the manual says of the type.
const SHAPE: &str = "`${NAME}` of a variable";

impl Value for SecretRef {
    const SECRET: bool = true;

    fn shape() -> String {
        SHAPE.to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, Fault> {
        Self::read_from(given)?.ok_or_else(|| Fault::invalid(format!("expected {SHAPE}, found nothing")))
    }

    fn show(&self) -> Option<String> {
        Some(show(self))
    }
}

impl Value for Option<SecretRef> {
    const SECRET: bool = true;

    fn shape() -> String {
        SHAPE.to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, Fault> {
        SecretRef::read_from(given)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(show)
    }
}

/// Reads secrets, each at the moment it is asked for, so that a file that changed is seen. It keeps none it has read.
#[derive(Clone, Default)]
pub struct Secrets {
    env: Environment,
}

impl Secrets {
    /// Secrets of this environment.
    pub fn new(env: Environment) -> Self {
        Self { env }
    }

    /// Reads the secret: first `NAME_FILE`, then `NAME`. A file's last line break is not part of it.
    pub fn get(&self, secret: &SecretRef) -> Result<Secret, SecretError> {
        let file_variable = secret.file_variable();
        if let Some(path) = self.env.get(&file_variable) {
            return read_file(file_variable, PathBuf::from(path));
        }
        match self.env.get(&secret.variable) {
            Some(text) => Ok(Secret::new(text)),
            None => Err(SecretError::Missing { variable: secret.variable.clone() }),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([redacted])")
    }
}

fn read_file(variable: String, path: PathBuf) -> Result<Secret, SecretError> {
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Err(source) => Err(SecretError::Unreadable { variable, path, source }),
        Ok(size) if size as u64 > MAX_FILE => Err(SecretError::TooLarge { variable, path }),
        Ok(_) => match text.trim_end_matches(['\r', '\n']) {
            "" => Err(SecretError::Empty { variable, path }),
            secret => Ok(Secret::new(secret)),
        },
    }
}

/// Why a secret cannot be had. It never shows one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither variable is set.
    #[error("no key: set {variable}, or {variable}_FILE to the path of a file that holds it")]
    Missing {
        /// The variable that would hold it.
        variable: String,
    },
    /// The file cannot be read as text.
    #[error("the file {} that {variable} names cannot be read", .path.display())]
    Unreadable {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be a secret.
    #[error("the file {} that {variable} names is too large for a key", .path.display())]
    TooLarge {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("the file {} that {variable} names is empty", .path.display())]
    Empty {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
    },
}

impl SecretError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::Credential
    }
}
