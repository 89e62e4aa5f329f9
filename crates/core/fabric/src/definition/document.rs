//! The keys a definition may have, and what they mean together.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use loom_base::{ErrorCode, Secret, nearest};
use loom_llm::ToolRole;
use loom_yaml::Position;

use super::scalar::{Scalar, Scope};
use super::{BackendDefinition, Connection, DefinitionError, PoolLimits, TableFilter, TlsMode};

/// A key that exists in the format but whose feature does not exist here.
type Unbuilt = Option<Spanned<IgnoredAny>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: Option<Scalar>,
    kind: Option<Scalar>,
    name: Option<Scalar>,
    description: Option<Scalar>,
    #[serde(rename = "type")]
    source_type: Option<Scalar>,
    database: Option<Spanned<DatabaseKeys>>,
    connection: Option<Spanned<ConnectionKeys>>,
    schema_discovery: Option<SchemaDiscoveryKeys>,
    tool_generation: Option<ToolGenerationKeys>,
    rest: Unbuilt,
    graphql: Unbuilt,
    grpc: Unbuilt,
    mcp: Unbuilt,
    supabase: Unbuilt,
    health_check: Unbuilt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseKeys {
    dsn: Option<Scalar>,
    max_connections: Option<Scalar>,
    max_idle_connections: Option<Scalar>,
    connection_timeout_seconds: Option<Scalar>,
    enable_ssl: Option<Scalar>,
    ssl_cert_path: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionKeys {
    dsn: Option<Scalar>,
    path: Option<Scalar>,
    max_connections: Option<Scalar>,
    enable_ssl: Option<Scalar>,
    ssl_mode: Option<Scalar>,
    enable_wal: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaDiscoveryKeys {
    enabled: Option<Scalar>,
    cache_ttl_seconds: Option<Scalar>,
    #[serde(default)]
    include_tables: Vec<Scalar>,
    #[serde(default)]
    exclude_tables: Vec<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolGenerationKeys {
    #[serde(default)]
    tools: Vec<Scalar>,
    enable_all: Option<Scalar>,
}

/// The keys of both connection blocks.
struct Keys {
    block: Position,
    dsn: Option<Scalar>,
    path: Option<Scalar>,
    max_connections: Option<Scalar>,
    max_idle_connections: Option<Scalar>,
    connection_timeout_seconds: Option<Scalar>,
    enable_ssl: Option<Scalar>,
    ssl_mode: Option<Scalar>,
    ssl_cert_path: Option<Scalar>,
    enable_wal: Option<Scalar>,
}

const SOURCE_TYPES: [&str; 2] = ["postgres", "sqlite"];
const UNBUILT_SOURCE_TYPES: [&str; 7] = ["mysql", "file", "rest", "graphql", "grpc", "mcp", "supabase"];
const TLS_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];
const TRUTH: &str = "true or false";
/// A pool sets memory aside for as many as it may open; no server takes more from one client.
const MOST_CONNECTIONS: u32 = 1_000;
/// Leaves room for the longest tool name before it, within the 64 characters of a tool's name.
const MAX_NAME_CHARS: usize = 48;

pub(super) fn read(
    file: &str,
    text: &str,
    default_name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<BackendDefinition, DefinitionError> {
    let scope = Scope { file, lookup };
    let mut document: Document = loom_yaml::read(text).map_err(|error| {
        let code = if error.unknown_key { ErrorCode::UnknownField } else { ErrorCode::InvalidYaml };
        scope.error(code, error.position, error.message)
    })?;
    refuse_unbuilt(&scope, &document)?;
    check_header(&scope, &document)?;
    let keys = connection_keys(&scope, document.database.take(), document.connection.take())?;
    let connection = match source_type(&scope, document.source_type.as_ref())? {
        "sqlite" => sqlite(&scope, &keys)?,
        _ => postgres(&scope, &keys)?,
    };
    let (tables, schema_ttl) = schema_discovery(&scope, document.schema_discovery.as_ref())?;
    Ok(BackendDefinition {
        name: name(&scope, document.name.as_ref(), default_name)?,
        description: document.description.as_ref().map(|text| scope.text(text)).transpose()?,
        connection,
        pool: pool_limits(&scope, &keys)?,
        tables,
        schema_ttl,
        tools: tool_generation(&scope, document.tool_generation.as_ref())?,
    })
}

fn refuse_unbuilt(scope: &Scope<'_>, document: &Document) -> Result<(), DefinitionError> {
    let blocks = [
        ("rest", &document.rest),
        ("graphql", &document.graphql),
        ("grpc", &document.grpc),
        ("mcp", &document.mcp),
        ("supabase", &document.supabase),
        ("health_check", &document.health_check),
    ];
    for (key, block) in blocks {
        if let Some(block) = block {
            let message = format!("`{key}` is not supported in this version");
            return Err(scope.unsupported(block.referenced.into(), message));
        }
    }
    Ok(())
}

fn check_header(scope: &Scope<'_>, document: &Document) -> Result<(), DefinitionError> {
    for (key, value, expected) in
        [("apiVersion", &document.api_version, "loom/v1"), ("kind", &document.kind, "Backend")]
    {
        if let Some(value) = value.as_ref().filter(|value| value.value != expected) {
            return Err(scope.invalid(value, format!("`{key}` must be `{expected}`")));
        }
    }
    Ok(())
}

fn source_type(scope: &Scope<'_>, written: Option<&Scalar>) -> Result<&'static str, DefinitionError> {
    let Some(written) = written else {
        return Err(scope.error(
            ErrorCode::InvalidConfig,
            Position { line: 1, column: 1 },
            "missing key `type`",
        ));
    };
    let value = scope.text(written)?;
    if let Some(known) = SOURCE_TYPES.into_iter().find(|known| *known == value) {
        return Ok(known);
    }
    if UNBUILT_SOURCE_TYPES.contains(&value.as_str()) {
        let message = format!("type `{value}` is not supported in this version; supported: postgres, sqlite");
        return Err(scope.unsupported(written.referenced.into(), message));
    }
    let message = match nearest(&value, SOURCE_TYPES) {
        Some(meant) => format!("unknown type `{value}`; did you mean `{meant}`?"),
        None => format!("unknown type `{value}`; known: postgres, sqlite"),
    };
    Err(scope.error(ErrorCode::UnknownField, written.referenced.into(), message))
}

fn name(scope: &Scope<'_>, written: Option<&Scalar>, default: &str) -> Result<String, DefinitionError> {
    let name = written.map_or_else(|| Ok(default.to_owned()), |written| scope.text(written))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(name);
    }
    let position = written.map_or(Position { line: 1, column: 1 }, |written| written.referenced.into());
    let message = format!("backend name {name:?} is not 1 to {MAX_NAME_CHARS} letters, digits, `_` or `-`");
    Err(scope.error(ErrorCode::InvalidConfig, position, message))
}

fn connection_keys(
    scope: &Scope<'_>,
    database: Option<Spanned<DatabaseKeys>>,
    connection: Option<Spanned<ConnectionKeys>>,
) -> Result<Keys, DefinitionError> {
    let problem = |position, message| Err(scope.error(ErrorCode::InvalidConfig, position, message));
    match (database, connection) {
        (Some(database), None) => {
            let block = database.referenced.into();
            let DatabaseKeys {
                dsn,
                max_connections,
                max_idle_connections,
                connection_timeout_seconds,
                enable_ssl,
                ssl_cert_path,
            } = database.value;
            Ok(Keys {
                block,
                dsn,
                path: None,
                max_connections,
                max_idle_connections,
                connection_timeout_seconds,
                enable_ssl,
                ssl_mode: None,
                ssl_cert_path,
                enable_wal: None,
            })
        }
        (None, Some(connection)) => {
            let block = connection.referenced.into();
            let ConnectionKeys { dsn, path, max_connections, enable_ssl, ssl_mode, enable_wal } =
                connection.value;
            Ok(Keys {
                block,
                dsn,
                path,
                max_connections,
                max_idle_connections: None,
                connection_timeout_seconds: None,
                enable_ssl,
                ssl_mode,
                ssl_cert_path: None,
                enable_wal,
            })
        }
        (None, None) => {
            problem(Position { line: 1, column: 1 }, "missing block `database` (or `connection`)")
        }
        (Some(_), Some(second)) => {
            problem(second.referenced.into(), "`database` and `connection` say the same thing; keep one")
        }
    }
}

fn sqlite(scope: &Scope<'_>, keys: &Keys) -> Result<Connection, DefinitionError> {
    for (key, value) in [
        ("enable_ssl", &keys.enable_ssl),
        ("ssl_mode", &keys.ssl_mode),
        ("ssl_cert_path", &keys.ssl_cert_path),
    ] {
        if let Some(value) = value {
            return Err(scope.invalid(value, format!("`{key}` has no meaning for a SQLite file")));
        }
    }
    if let Some(wal) = &keys.enable_wal
        && scope.parse::<bool>(wal, TRUTH)?
    {
        let reason = "`enable_wal` cannot be honoured: backends are opened read-only, and the journal mode is a \
                      property of the file; set it with the program that writes the file";
        return Err(scope.unsupported(wal.referenced.into(), reason));
    }
    let written = match (&keys.path, &keys.dsn) {
        (Some(path), None) => path,
        (None, Some(dsn)) => dsn,
        (Some(_), Some(dsn)) => {
            return Err(scope.invalid(dsn, "`path` and `dsn` say the same thing; keep one"));
        }
        (None, None) => {
            return Err(scope.error(ErrorCode::InvalidConfig, keys.block, "missing key `path` (or `dsn`)"));
        }
    };
    let text = scope.text(written)?;
    let scheme = ["sqlite://", "sqlite:", "file:"].into_iter().find(|scheme| text.starts_with(scheme));
    let path = scheme.map_or(text.as_str(), |scheme| &text[scheme.len()..]);
    // The text may hold a password: it is not shown.
    if path.contains("://") {
        return Err(scope.invalid(written, "a URL of another database is no SQLite file; give a path"));
    }
    if scheme.is_some() && path.contains('?') {
        return Err(scope.invalid(written, "options after `?` are not read; give the path alone"));
    }
    if path.is_empty() || path == ":memory:" {
        return Err(scope.invalid(written, "a read-only backend needs a file; this names none"));
    }
    Ok(Connection::Sqlite { path: PathBuf::from(path) })
}

fn postgres(scope: &Scope<'_>, keys: &Keys) -> Result<Connection, DefinitionError> {
    for (key, value) in [("path", &keys.path), ("enable_wal", &keys.enable_wal)] {
        if let Some(value) = value {
            return Err(scope.invalid(value, format!("`{key}` has no meaning for PostgreSQL")));
        }
    }
    let Some(written) = &keys.dsn else {
        return Err(scope.error(ErrorCode::InvalidConfig, keys.block, "missing key `dsn`"));
    };
    let dsn = Secret::new(scope.text(written)?);
    if !["postgres://", "postgresql://"].iter().any(|scheme| dsn.expose().starts_with(scheme)) {
        return Err(scope.invalid(written, "`dsn` must start with `postgres://` or `postgresql://`"));
    }
    let root_certificate =
        keys.ssl_cert_path.as_ref().map(|path| scope.text(path)).transpose()?.map(PathBuf::from);
    let tls = tls_mode(scope, keys)?;
    if let (Some(TlsMode::Disable), Some(path)) = (tls, &keys.ssl_cert_path) {
        return Err(scope.invalid(path, "`ssl_cert_path` has no meaning while `enable_ssl` is false"));
    }
    Ok(Connection::Postgres { dsn, tls, root_certificate })
}

fn tls_mode(scope: &Scope<'_>, keys: &Keys) -> Result<Option<TlsMode>, DefinitionError> {
    let enabled: Option<bool> = scope.parse_optional(keys.enable_ssl.as_ref(), TRUTH)?;
    let Some(written) = &keys.ssl_mode else {
        return Ok(match (enabled, &keys.ssl_cert_path) {
            (Some(false), _) => Some(TlsMode::Disable),
            (Some(true), None) => Some(TlsMode::Require),
            (_, Some(_)) => Some(TlsMode::VerifyFull),
            (None, None) => None,
        });
    };
    let text = scope.text(written)?;
    let mode = match text.as_str() {
        "disable" => TlsMode::Disable,
        "prefer" => TlsMode::Prefer,
        "require" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        "verify-full" => TlsMode::VerifyFull,
        other => {
            let meant =
                nearest(other, TLS_MODES).map(|mode| format!("; did you mean `{mode}`?")).unwrap_or_default();
            let message = format!("unknown ssl_mode `{other}`{meant} (one of {})", TLS_MODES.join(", "));
            return Err(scope.invalid(written, message));
        }
    };
    let contradicts = match enabled {
        Some(true) => matches!(mode, TlsMode::Disable | TlsMode::Prefer),
        Some(false) => mode != TlsMode::Disable,
        None => false,
    };
    if contradicts {
        return Err(scope.invalid(written, format!("ssl_mode `{text}` contradicts `enable_ssl`")));
    }
    Ok(Some(mode))
}

fn pool_limits(scope: &Scope<'_>, keys: &Keys) -> Result<PoolLimits, DefinitionError> {
    let max_connections: Option<NonZeroU32> =
        scope.parse_optional(keys.max_connections.as_ref(), "a whole number from 1")?;
    if let (Some(many), Some(written)) = (max_connections, &keys.max_connections)
        && many.get() > MOST_CONNECTIONS
    {
        let message = format!("`max_connections` is {many}; at most {MOST_CONNECTIONS} are possible");
        return Err(scope.invalid(written, message));
    }
    // No time at all opens nothing, and what does not fit here is longer than a century.
    let seconds: Option<NonZeroU32> =
        scope.parse_optional(keys.connection_timeout_seconds.as_ref(), "a whole number of seconds from 1")?;
    Ok(PoolLimits {
        max_connections,
        max_idle_connections: scope
            .parse_optional(keys.max_idle_connections.as_ref(), "a whole number from 0")?,
        acquire_timeout: seconds.map(|seconds| Duration::from_secs(seconds.get().into())),
    })
}

fn schema_discovery(
    scope: &Scope<'_>,
    keys: Option<&SchemaDiscoveryKeys>,
) -> Result<(TableFilter, Option<Duration>), DefinitionError> {
    let Some(keys) = keys else { return Ok((TableFilter::default(), None)) };
    if let Some(enabled) = &keys.enabled
        && !scope.parse::<bool>(enabled, TRUTH)?
    {
        let reason = "schema discovery cannot be switched off: tools check names against the schema";
        return Err(scope.unsupported(enabled.referenced.into(), reason));
    }
    let texts = |list: &[Scalar]| list.iter().map(|name| scope.text(name)).collect::<Result<Vec<_>, _>>();
    let filter = TableFilter { include: texts(&keys.include_tables)?, exclude: texts(&keys.exclude_tables)? };
    let seconds: Option<u64> =
        scope.parse_optional(keys.cache_ttl_seconds.as_ref(), "a whole number of seconds")?;
    Ok((filter, seconds.map(Duration::from_secs)))
}

fn tool_generation(
    scope: &Scope<'_>,
    keys: Option<&ToolGenerationKeys>,
) -> Result<Option<Vec<ToolRole>>, DefinitionError> {
    let Some(keys) = keys else { return Ok(None) };
    let all: Option<bool> = scope.parse_optional(keys.enable_all.as_ref(), TRUTH)?;
    let mut roles = Vec::new();
    for written in &keys.tools {
        let name = scope.text(written)?;
        let known = crate::tools::BACKEND_TOOLS;
        let Some((_, role)) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let message = match nearest(&name, names.iter().copied()) {
                Some(meant) => format!("unknown tool `{name}`; did you mean `{meant}`?"),
                None => format!("unknown tool `{name}`; known: {}", names.join(", ")),
            };
            return Err(scope.error(ErrorCode::UnknownField, written.referenced.into(), message));
        };
        if !roles.contains(role) {
            roles.push(*role);
        }
    }
    match (all, roles.is_empty()) {
        (Some(true) | None, true) => Ok(None),
        (Some(true), false) => {
            let written = keys.tools.first().map_or(Position::default(), |tool| tool.referenced.into());
            Err(scope.error(ErrorCode::InvalidConfig, written, "`tools` and `enable_all: true` contradict"))
        }
        (Some(false) | None, _) => Ok(Some(roles)),
    }
}
