//! Opens what a backend definition describes.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loom_fabric::{BackendDefinition, BackendError, Connection, ExecutionBackend};

use crate::{SharedPools, SqlOptions, SqlSource};

impl SharedPools {
    /// Opens the backend of `definition`; it has answered once. Relative paths in it start at `base`, and the files in
    /// `forbidden` are never opened.
    pub async fn open_defined(
        &self,
        definition: &BackendDefinition,
        base: &Path,
        forbidden: &[PathBuf],
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        let (source, options) = place(definition, base, forbidden);
        self.open(&definition.name, &source, options).await
    }

    /// The same without asking it anything: a database that is down now is used once it is up.
    pub fn prepare_defined(
        &self,
        definition: &BackendDefinition,
        base: &Path,
        forbidden: &[PathBuf],
    ) -> Result<Arc<dyn ExecutionBackend>, BackendError> {
        let (source, options) = place(definition, base, forbidden);
        self.prepare(&definition.name, &source, &options)
    }
}

fn place(definition: &BackendDefinition, base: &Path, forbidden: &[PathBuf]) -> (SqlSource, SqlOptions) {
    let (source, tls, root_certificate) = match &definition.connection {
        Connection::Sqlite { path } => (SqlSource::Sqlite(base.join(path)), None, None),
        Connection::Postgres { dsn, tls, root_certificate } => {
            let certificate = root_certificate.as_ref().map(|path| base.join(path));
            (SqlSource::Postgres(dsn.clone()), *tls, certificate)
        }
    };
    let default = SqlOptions::default();
    let max_connections = definition.pool.max_connections.map_or(default.max_connections, NonZeroU32::get);
    let options = SqlOptions {
        max_connections,
        max_idle_connections: definition.pool.max_idle_connections.unwrap_or(max_connections),
        connect_timeout: definition.pool.acquire_timeout.unwrap_or(default.connect_timeout),
        schema_cache_ttl: definition.schema_ttl.unwrap_or(default.schema_cache_ttl),
        tables: definition.tables.clone(),
        tls,
        root_certificate,
        description: definition.description.clone(),
        tools: definition.tools.clone(),
        forbidden_paths: forbidden.to_vec(),
    };
    (source, options)
}
