//! Patterns that live in files: read again by request, written by request, and followed.

use std::sync::Arc;

use async_trait::async_trait;
use loom_base::ErrorCode;

use crate::{Pattern, PatternError, Reading, ReloadReport, Source, Updates};

/// A place that patterns come from, that can be told to read and to write, and that says what changes.
#[async_trait]
pub trait PatternFiles: Source {
    /// Reads the file or the folder at `place` again, all of it when there is none.
    ///
    /// `place` is absolute or below the patterns folder, or begins with that folder's name. It never leads out of it.
    async fn load(&self, place: Option<&str>, reading: Reading) -> Result<Loaded, FilesError>;

    /// Writes a new pattern, which is served when this returns.
    async fn create(&self, new: NewPattern) -> Result<Created, FilesError>;

    /// What changes from now on, as it changes.
    fn updates(&self) -> Updates;
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the reading changed among all patterns. Its errors are those of the place that was read.
    pub report: ReloadReport,
    /// The patterns in use that come from the place, by name.
    pub patterns: Vec<Arc<Pattern>>,
}

/// A pattern to write.
#[derive(Clone, Debug)]
pub struct NewPattern {
    /// Its name; empty for the one in the text.
    pub name: String,
    /// The library's folder; empty for the patterns folder itself.
    pub library: String,
    /// Its text, YAML of one pattern.
    pub text: String,
    /// What becomes of a pattern of that name.
    pub existing: Existing,
}

/// What becomes of a pattern whose name a new one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is refused.
    Keep,
    /// The new one takes its place.
    Replace,
}

/// A pattern that was written.
#[derive(Clone, Debug)]
pub struct Created {
    /// The pattern as it is served.
    pub pattern: Arc<Pattern>,
    /// Its file, as the server's own path.
    pub path: String,
}

/// Why a file was neither read nor written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilesError {
    /// The path leads out of the patterns folder.
    #[error("{path:?} is outside the patterns folder {folder}; the server reads patterns nowhere else")]
    Outside {
        /// The path, as it was given.
        path: String,
        /// The folder.
        folder: String,
    },
    /// Nothing is there.
    #[error("there is no pattern file or folder {path:?} in the patterns folder {folder}")]
    Missing {
        /// The path, as it was given.
        path: String,
        /// The folder.
        folder: String,
    },
    /// The name cannot be a pattern's and a file's.
    #[error("{name:?} cannot be a {what}: {problem}")]
    Name {
        /// What it was to be: `pattern's name`, `library's name`.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The text is not that of the pattern.
    #[error(transparent)]
    Invalid(#[from] PatternError),
    /// There is one of that name.
    #[error("a pattern called {name:?} exists already, in {place}; {cure}")]
    Exists {
        /// The name.
        name: String,
        /// Where it is.
        place: String,
        /// What would be right.
        cure: &'static str,
    },
    /// The folder takes no file.
    #[error("patterns cannot be written: {problem}")]
    ReadOnly {
        /// Why.
        problem: String,
    },
}

impl FilesError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Outside { .. } => ErrorCode::PathRefused,
            Self::Missing { .. } | Self::Name { .. } => ErrorCode::InvalidArgument,
            Self::Invalid(_) => ErrorCode::InvalidPattern,
            Self::Exists { .. } => ErrorCode::PatternExists,
            Self::ReadOnly { .. } => ErrorCode::PatternsReadOnly,
        }
    }
}

/// The longest name, in bytes: with its extension it is a file's name everywhere.
const NAME_BYTES: usize = 100;
/// Names that some systems keep for devices.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Checks that `name` can be a pattern's, or a library's, and its file's on every system: letters and digits of ASCII, `_`,
/// `-`, and `.` between others.
pub fn check_file_name(what: &'static str, name: &str) -> Result<(), FilesError> {
    let refuse = |problem: String| Err(FilesError::Name { what, name: name.to_owned(), problem });
    if name.len() > NAME_BYTES {
        return refuse(format!("it has {} bytes, at most {NAME_BYTES} are taken", name.len()));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if let Some(odd) = name.chars().find(|c| !is_plain(*c)) {
        return refuse(format!("{odd:?} is none of a-z, A-Z, 0-9, `_`, `-` and `.`"));
    }
    let is_end = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(is_end) || !name.ends_with(is_end) || name.contains("..") {
        return refuse(
            "it begins and ends with a letter, a digit or `_`, and has no two dots in a row".to_owned(),
        );
    }
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_port =
        |kind: &str| stem.strip_prefix(kind).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    if DEVICES.contains(&stem.as_str()) || is_port("com") || is_port("lpt") {
        return refuse("some systems keep it for a device".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_files_can_have_are_taken_and_others_refused() {
        for good in ["a", "top_by_total", "top-10", "top.v2", "_x", "Console", "com", "com10", "9"] {
            assert_eq!(check_file_name("name", good), Ok(()), "{good}");
        }
        let long = "x".repeat(NAME_BYTES + 1);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "../a",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a\0",
            "a\n",
            "ä",
            "a:b",
            "con",
            "NUL",
            "nul.v2",
            "com1",
            "LPT9",
            "-a",
            "~a",
            "a\u{202e}b",
            &long,
        ] {
            let refused = check_file_name("name", bad).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidArgument, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_is_one_part_of_a_path(name in "\\PC{0,12}") {
            if check_file_name("name", &name).is_ok() {
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(name.as_str()));
            }
        }
    }
}
