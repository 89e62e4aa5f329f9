//! A server to put load on: the whole of Loom (gRPC, the loop, the store with its commits, tracing) around a model that
//! costs nothing, and a second port to set that model and to read what was counted.
//!
//! `POST /reconfigure`, `POST /reset`, `GET /metrics` and `GET /health` on the second port, and `Weave` and `StreamWeave`
//! on the first, are what the public load harness of the reference system calls. It counts allocations too, which the
//! product never does. It is a tool and never ships.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for the terminal, and its own composition root: it prints and reads the clock"
)]

mod agents;
mod control;
mod model;
mod settings;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use loom_embed::runtime::RuntimeLimits;
use loom_embed::server::ServeOptions;
use loom_embed::sql::{SqlOptions, SqliteBackend};
use loom_embed::tracer::{LogFormat, log_layer_to};
use loom_embed::{Loom, SystemClock};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::control::Control;
use crate::model::Model;
use crate::settings::Settings;

/// Counts what the process allocates.
#[global_allocator]
static ALLOCATIONS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls in progress at most: above what the harness asks for.
const MOST_CALLS: usize = 16_384;
/// Messages that may wait in one session: the harness lets up to 200 callers share one.
const MOST_WAITING: usize = 1_024;

/// A Loom on a model that costs nothing, for load tests.
#[derive(Parser)]
struct Arguments {
    /// The port of gRPC
    #[arg(long, default_value_t = 60_051)]
    port: u16,
    /// The port of /reconfigure, /reset, /metrics and /health
    #[arg(long, default_value_t = 8_080)]
    http_port: u16,
    /// Where the store is; a folder that goes with the process when not given
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where the log goes; nowhere when not given, though its lines are made
    #[arg(long)]
    log: Option<PathBuf>,
    /// Seconds that a session stays in memory when nobody uses it; as the product does when not given
    #[arg(long)]
    idle_seconds: Option<u64>,
    /// A SQLite file with a table `orders`: each turn then queries it before it answers
    #[arg(long)]
    database: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    install_log(arguments.log.as_ref())?;
    let temporary = tempfile::tempdir()?;
    let data = arguments.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let clock = Arc::new(SystemClock);
    let model = Arc::new(Model::new(&arguments.settings, arguments.database.is_some())?);
    let idle = arguments.idle_seconds.map_or(RuntimeLimits::default().idle, Duration::from_secs);
    let mut builder = Loom::builder()
        .data_dir(data)
        .limits(RuntimeLimits { queue: MOST_WAITING, idle, ..RuntimeLimits::default() })
        .provider(model::NAME, model::MODEL, Arc::clone(&model) as _);
    if let Some(file) = &arguments.database {
        let options = SqlOptions::default();
        builder =
            builder.backend(Arc::new(SqliteBackend::open(agents::BACKEND, file, options, clock).await?));
    }
    let agents = agents::Agents::new(arguments.database.is_some());
    let loom = builder.agent(agents.first()).build().await?;
    agents.set_number(loom.runtime(), arguments.settings.num_agents).await?;
    let mut options = ServeOptions::local();
    options.grpc_port = arguments.port;
    options.http_port = None;
    options.limits.concurrent_requests = MOST_CALLS;
    options.limits.connections = MOST_CALLS;
    let bound = loom.bind(&options).await?;
    let control = Control {
        model,
        agents,
        runtime: Arc::clone(loom.runtime()),
        allocations: ALLOCATIONS,
        settings: tokio::sync::Mutex::new(arguments.settings),
    };
    let http = control::listen(arguments.http_port).await?;
    println!("ready: gRPC on {}, HTTP on {}", bound.grpc, http.local_addr()?);
    let shutdown = CancellationToken::new();
    tokio::spawn(control::serve(http, Arc::new(control), shutdown.clone()));
    tokio::spawn(stop_on_signal(shutdown.clone()));
    loom.serve(bound, shutdown).await;
    Ok(())
}

/// Makes the lines of the log as a server does.
fn install_log(file: Option<&PathBuf>) -> Result<()> {
    let writer: Box<dyn std::io::Write + Send> = match file {
        Some(file) => {
            Box::new(std::fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?)
        }
        None => Box::new(std::io::sink()),
    };
    let (log, _) =
        log_layer_to(std::sync::Mutex::new(writer), LogFormat::Text, "info", Arc::new(SystemClock))?;
    Ok(tracing_subscriber::registry().with(log).try_init()?)
}

async fn stop_on_signal(shutdown: CancellationToken) {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    shutdown.cancel();
}
