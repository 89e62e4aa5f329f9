//! `looms backend`: tries a data backend, without a server.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loom_cli::{BackendArgs, BackendChoice, BackendCommand, Format, Style};
use loom_embed::SystemClock;
use loom_embed::base::ErrorCode;
use loom_embed::fabric::{BackendDefinition, ExecutionBackend, Schema};
use loom_embed::sql::{SharedPools, SqlOptions, SqlSource};

use serde_json::json;

use crate::environment::Process;
use crate::failure::Failure;
use crate::serve::load;

/// How long a backend may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs one of the commands.
pub(crate) async fn run(
    command: BackendCommand,
    process: &Process,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        BackendCommand::Ping(args) => {
            let backend = open(&args, process).await?;
            let took = backend.ping(DEADLINE).await?;
            let millis = took.as_secs_f64() * 1_000.0;
            match format {
                Format::Text => writeln!(out, "{} answers in {millis:.1} ms", backend.name())?,
                Format::Json => {
                    writeln!(out, "{}", json!({ "backend": backend.name(), "latency_ms": millis }))?;
                }
            }
            backend.close().await;
        }
        BackendCommand::Schema { backend, table } => {
            let backend = open(&backend, process).await?;
            let schema = backend.get_schema().await?;
            let schema = only(&schema, &table)?;
            match format {
                Format::Text => loom_cli::render::schema(&schema, Style::Plain, out)?,
                Format::Json => writeln!(out, "{}", json!(schema))?,
            }
            backend.close().await;
        }
    }
    Ok(())
}

/// The tables that were asked for; all of them when none was.
fn only(schema: &Schema, wanted: &[String]) -> Result<Schema, Failure> {
    if wanted.is_empty() {
        return Ok(schema.clone());
    }
    let table = |name: &String| {
        let missing =
            || Failure::new(ErrorCode::BackendNotFound, format!("the backend has no table {name:?}"));
        schema.table(name).cloned().ok_or_else(missing)
    };
    Ok(Schema { tables: wanted.iter().map(table).collect::<Result<_, _>>()? })
}

async fn open(args: &BackendArgs, process: &Process) -> Result<Arc<dyn ExecutionBackend>, Failure> {
    let pools = SharedPools::new(Arc::new(SystemClock));
    match args.choice() {
        BackendChoice::File(file) => open_file(&pools, &file, process).await,
        BackendChoice::Named(text) if is_source(&text) => {
            let options = SqlOptions::default();
            Ok(pools.open("backend", &SqlSource::parse(&text), options).await?)
        }
        BackendChoice::Named(name) => {
            let loaded = load(args.config.as_ref(), Vec::new(), process)?;
            let folder = &loaded.config.paths.backends_dir;
            let file = ["yaml", "yml"]
                .map(|end| folder.join(format!("{name}.{end}")))
                .into_iter()
                .find(|file| file.is_file());
            let file = file.ok_or_else(|| {
                let message =
                    format!("no backend is called {name:?}: {}/{name}.yaml is not there", folder.display());
                Failure::new(ErrorCode::BackendNotFound, message)
            })?;
            open_file(&pools, &file, process).await
        }
    }
}

/// Whether a text is a database, and not the name of a configured one: a DSN, a file that is there, or a path.
fn is_source(text: &str) -> bool {
    text.starts_with("sqlite:")
        || text.contains(['/', std::path::MAIN_SEPARATOR])
        || Path::new(text).is_file()
}

async fn open_file(
    pools: &SharedPools,
    file: &Path,
    process: &Process,
) -> Result<Arc<dyn ExecutionBackend>, Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(ErrorCode::InvalidYaml, format!("{shown} cannot be read: {error}")))?;
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let lookup = |name: &str| process.get(name).map(str::to_owned);
    let definition = BackendDefinition::from_yaml(&shown, &text, &stem, &lookup)
        .map_err(|error| Failure::new(error.code, error))?;
    let base = file.parent().unwrap_or(Path::new("."));
    Ok(pools.open_defined(&definition, base, &[]).await?)
}
