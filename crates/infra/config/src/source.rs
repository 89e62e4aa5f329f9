//! Where a value, or an error, comes from.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as it was named.
    pub file: Arc<str>,
    /// From 1; 0 stands for the file as a whole.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl Position {
    /// The file as a whole.
    pub(crate) fn whole(file: &Arc<str>) -> Self {
        Self::at(file, loom_yaml::Position::default())
    }

    /// A place in `file`.
    pub(crate) fn at(file: &Arc<str>, place: loom_yaml::Position) -> Self {
        Self { file: Arc::clone(file), line: place.line, column: place.column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// Where a value was given. The order of the variants is the order of priority, highest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// On the command line, by the flag of this name.
    Flag(String),
    /// In the configuration file.
    File(Position),
    /// In the environment, by the variable of this name.
    Environment(String),
    /// By the profile that `LOOM_ENV` names: built in, or a section of the file.
    Profile {
        /// The profile.
        name: String,
        /// Where the file says so; `None` for what is built in.
        position: Option<Position>,
    },
    /// Nowhere: it is what Loom takes when nothing is said.
    Default,
}

impl Source {
    /// The place of this kind of source in the order of priority; 0 is the highest.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 0,
            Self::File(_) => 1,
            Self::Environment(_) => 2,
            Self::Profile { .. } => 3,
            Self::Default => 4,
        }
    }

    /// Whether `${VAR}` stands for a variable here: only in the file.
    pub(crate) fn expands(&self) -> bool {
        matches!(self, Self::File(_) | Self::Profile { position: Some(_), .. })
    }

    /// The place an error points at.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Flag(name) | Self::Environment(name) => name.clone(),
            Self::File(position) | Self::Profile { position: Some(position), .. } => position.to_string(),
            Self::Profile { name, position: None } => format!("LOOM_ENV={name}"),
            Self::Default => "default".to_owned(),
        }
    }

    /// The same source, for a part of the value that stands at its own place.
    pub(crate) fn moved(mut self, place: loom_yaml::Position) -> Self {
        if let Self::File(position) | Self::Profile { position: Some(position), .. } = &mut self {
            (position.line, position.column) = (place.line, place.column);
        }
        self
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::File(position) => write!(f, "file {position}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Profile { name, position: None } => write!(f, "profile {name}"),
            Self::Profile { name, position: Some(position) } => write!(f, "profile {name} ({position})"),
            Self::Default => f.write_str("default"),
        }
    }
}
