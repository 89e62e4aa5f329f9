//! Where a value came from, and what an operator should know of the sources.

use std::fmt;

use crate::Source;
use crate::nearest::nearest;

/// Where the value of a key came from. A secret is never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The full name of the key.
    pub key: String,
    /// The value; `None` when it is unset.
    pub value: Option<String>,
    /// Where it was given.
    pub source: Source,
    /// What was given for the same key at a lower priority, highest first.
    pub shadowed: Vec<Shadowed>,
}

/// A value that was given and is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The value; `None` when it unsets the key.
    pub value: Option<String>,
    /// Where it was given.
    pub source: Source,
}

/// Text for a value that is not there.
const UNSET: &str = "(unset)";

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}\n  from {}", self.key, self.value.as_deref().unwrap_or(UNSET), self.source)?;
        for other in &self.shadowed {
            write!(f, "\n  over {} from {}", other.value.as_deref().unwrap_or(UNSET), other.source)?;
        }
        Ok(())
    }
}

/// Something about the environment that an operator should know. It is not an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// A variable has no effect, because its key was given at a higher priority.
    Shadowed {
        /// The variable.
        variable: String,
        /// The key it would set.
        key: String,
        /// Where the key was given.
        by: Source,
    },
    /// A `LOOM_*` variable sets nothing.
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// A variable is for a feature that is not in this version.
    NoEffect {
        /// The variable.
        variable: &'static str,
        /// The feature.
        feature: &'static str,
    },
}

impl Notice {
    /// The notice for a variable that sets nothing, given those that set something.
    pub(crate) fn unknown(variable: &str, known: &[String]) -> Self {
        // What all of them begin with says nothing about which one was meant.
        let own_part = |name: &str| name.trim_start_matches("LOOM_").to_owned();
        let parts: Vec<String> = known.iter().map(|name| own_part(name)).collect();
        let found = nearest(&own_part(variable), parts.iter().map(String::as_str));
        let nearest = found.and_then(|found| known.iter().find(|name| own_part(name) == found)).cloned();
        Self::UnknownVariable { variable: variable.to_owned(), nearest }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shadowed { variable, key, by } => {
                write!(f, "{variable} has no effect: `{key}` is set by {by}")
            }
            Self::UnknownVariable { variable, nearest } => {
                write!(f, "{variable} sets nothing")?;
                nearest.as_ref().map_or(Ok(()), |found| write!(f, "; did you mean {found}?"))
            }
            Self::NoEffect { variable, feature } => {
                write!(f, "{variable} has no effect: {feature} is not in this version")
            }
        }
    }
}
