//! What a user writes to attach a data source: `kind: Backend`, or the shorter form with `type` and `connection`.
//!
//! Every key that is accepted here has to be honoured by whoever opens the backend; a key whose feature does not exist
//! yet is refused when the file is read.

mod document;
mod scalar;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use loom_base::{ErrorCode, Secret};
use loom_llm::ToolRole;
use loom_yaml::Position;

use crate::{Dialect, Resource};

/// A data source as configured. Two equal definitions can share one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendDefinition {
    /// The name agents use for it: 1 to 48 letters, digits, `_` or `-`.
    pub name: String,
    /// What it holds; models read its beginning in the descriptions of the tools.
    pub description: Option<String>,
    /// Where it is.
    pub connection: Connection,
    /// How many connections, and how long to wait for one.
    pub pool: PoolLimits,
    /// Which tables agents are shown.
    pub tables: TableFilter,
    /// How long a schema that was read may be used before it is read again; `None` leaves it to the adapter.
    pub schema_ttl: Option<Duration>,
    /// The tools it offers, each once; `None` for all.
    pub tools: Option<Vec<ToolRole>>,
}

/// Where a data source is and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A SQLite file, opened read-only.
    Sqlite {
        /// The file as written; the caller resolves a relative path.
        path: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres {
        /// The `postgres://` or `postgresql://` URL.
        dsn: Secret,
        /// How the connection is protected; `None` leaves it to the URL.
        tls: Option<TlsMode>,
        /// A PEM file with certificates to trust besides the public ones.
        root_certificate: Option<PathBuf>,
    },
}

impl Connection {
    /// The language spoken there.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }
}

/// How a connection is protected: libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server can.
    Prefer,
    /// Encrypted; the server's certificate is not checked.
    Require,
    /// Encrypted; the certificate comes from a trusted authority.
    VerifyCa,
    /// Encrypted; the certificate comes from a trusted authority and names the host.
    VerifyFull,
}

/// How a pool of connections is bounded; `None` leaves a bound to the adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections open at most.
    pub max_connections: Option<NonZeroU32>,
    /// Connections kept open at most while nobody uses them; one given back beyond that is closed.
    pub max_idle_connections: Option<u32>,
    /// How long a query waits for a connection at most.
    pub acquire_timeout: Option<Duration>,
}

/// Which tables are shown. It narrows what agents are told, not what a query may read: that is what the database
/// role's rights are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFilter {
    /// Only these, when not empty. Names, qualified or not, case aside; `*` stands for any text.
    pub include: Vec<String>,
    /// But not these, in the same form.
    pub exclude: Vec<String>,
}

impl TableFilter {
    /// Whether `resource` is shown.
    pub fn admits(&self, resource: &Resource) -> bool {
        let listed = |patterns: &[String]| {
            let qualified = resource.qualified_name().to_lowercase();
            let name = resource.name.to_lowercase();
            patterns
                .iter()
                .map(|pattern| pattern.to_lowercase())
                .any(|pattern| wildcard_matches(&pattern, &name) || wildcard_matches(&pattern, &qualified))
        };
        (self.include.is_empty() || listed(&self.include)) && !listed(&self.exclude)
    }
}

fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut remaining) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = remaining.find(part) else { return false };
        remaining = &remaining[at + part.len()..];
    }
    remaining.ends_with(tail)
}

impl BackendDefinition {
    /// Reads one definition. `file` stands in error messages; `default_name` is the name of a source whose text gives
    /// none; `lookup` resolves `${VAR}` and `${VAR:-default}` inside values.
    pub fn from_yaml(
        file: &str,
        text: &str,
        default_name: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, DefinitionError> {
        document::read(file, text, default_name, lookup)
    }
}

/// Why a definition is refused. Never shows a connection string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}:{}: {message}", position.line, position.column)]
pub struct DefinitionError {
    /// The stable code users see.
    pub code: ErrorCode,
    /// The file, as the caller named it.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// What is wrong and what would be right.
    pub message: String,
}

#[cfg(test)]
mod tests;
