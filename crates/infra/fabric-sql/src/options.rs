//! What an operator can set for a database.

use std::path::PathBuf;
use std::time::Duration;

use loom_fabric::{TableFilter, TlsMode};
use loom_llm::ToolRole;

/// Settings of one SQL backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlOptions {
    /// Connections kept at most; queries above that wait. At least 1.
    pub max_connections: u32,
    /// Connections kept open at most while nobody uses them.
    pub max_idle_connections: u32,
    /// How long a query may wait for a connection.
    pub connect_timeout: Duration,
    /// How long a discovered schema is believed; zero looks every time.
    pub schema_cache_ttl: Duration,
    /// Which tables agents are told about; it is no access control: that is the database role's part.
    pub tables: TableFilter,
    /// How a PostgreSQL connection is protected; `None` leaves it to the URL.
    pub tls: Option<TlsMode>,
    /// A PEM file with the certificates to trust for it besides the public ones.
    pub root_certificate: Option<PathBuf>,
    /// What it holds, for models and people.
    pub description: Option<String>,
    /// The tools it offers agents; `None` for all.
    pub tools: Option<Vec<ToolRole>>,
    /// Files that must not be opened as a database under any name, such as Loom's own store.
    pub forbidden_paths: Vec<PathBuf>,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            max_connections: 4,
            max_idle_connections: 4,
            connect_timeout: Duration::from_secs(5),
            schema_cache_ttl: Duration::from_mins(5),
            tables: TableFilter::default(),
            tls: None,
            root_certificate: None,
            description: None,
            tools: None,
            forbidden_paths: Vec::new(),
        }
    }
}
