//! Who asks.

use std::fmt;
use std::str::FromStr;

/// The one on whose behalf a request is made, as the door that accepted it found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Somebody on this machine, through a loopback connection or in this process, who gave no credential.
    Local,
    /// Somebody on another machine who gave no credential.
    Anonymous,
}

impl Principal {
    /// The name under which the journal and the logs record the principal; it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Anonymous => "anonymous",
        }
    }
}

/// A text that names no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPrincipal;

impl FromStr for Principal {
    type Err = UnknownPrincipal;

    fn from_str(name: &str) -> Result<Self, UnknownPrincipal> {
        [Self::Local, Self::Anonymous]
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or(UnknownPrincipal)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
