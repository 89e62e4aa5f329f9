//! `looms serve`: runs the server until it is told to stop.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use loom_cli::{ServeArgs, Setting};
use loom_embed::Loom;
use loom_embed::base::ErrorCode;
use loom_embed::config::{Config, FileChoice, Flag, Inputs, Loaded, LogFormat as ConfiguredFormat};
use loom_embed::server::ServeOptions;
use loom_embed::tracer::LogFormat;
use tokio_util::sync::CancellationToken;

use crate::environment::Process;
use crate::failure::Failure;
use crate::logging;

/// Variables that are bound here and not by the configuration.
const ALSO_BOUND: &[&str] = &[
    "LOOM_SERVER",
    #[cfg(feature = "failpoints")]
    crate::chaos::FAIL_POINT,
    #[cfg(feature = "failpoints")]
    crate::chaos::RECORDER,
];

/// Reads the configuration.
pub(crate) fn load(
    file: Option<&PathBuf>,
    settings: Vec<Setting>,
    process: &Process,
) -> Result<Loaded, Failure> {
    let flags = settings.into_iter().map(|set| Flag::new(set.flag, set.key, set.value)).collect();
    let inputs = Inputs {
        flags,
        file: file.map_or(FileChoice::Search, |path| FileChoice::Named(path.clone())),
        env: process.variables().clone(),
        also_bound: ALSO_BOUND.iter().map(|name| (*name).to_owned()).collect(),
    };
    Ok(Config::load(inputs)?)
}

/// Runs the server until SIGTERM or Ctrl-C; a second one ends it at once.
pub(crate) async fn run(args: &ServeArgs, process: &Process) -> Result<(), Failure> {
    let loaded = load(args.config.as_ref(), args.settings(), process)?;
    let config = loaded.config.clone();
    let format = match config.logging.format {
        ConfiguredFormat::Text => LogFormat::Text,
        ConfiguredFormat::Json => LogFormat::Json,
    };
    let spans = logging::install(format, config.logging.level.as_str())?;
    // Before anything else starts: whoever reads "ready" may already send a signal.
    let signals = StopSignals::listen()
        .map_err(|error| Failure::new(ErrorCode::Internal, format!("signals cannot be heard: {error}")))?;
    for notice in &loaded.notices {
        tracing::warn!(%notice, "configuration");
    }
    let variables = process.clone();
    let builder =
        Loom::builder().config(loaded).variables(move |name| variables.get(name).map(str::to_owned));
    #[cfg(feature = "failpoints")]
    let builder = crate::chaos::prepare(builder, process)?;
    let loom = builder.build().await?;
    spans.keep(&loom)?;
    let bound = loom.bind(&ServeOptions::of(&config)).await?;
    let shutdown = CancellationToken::new();
    let http = bound.http.map_or_else(|| "off".to_owned(), |address| format!("http://{address}"));
    tracing::info!(grpc = %format!("http://{}", bound.grpc), %http, "ready");
    tokio::spawn(stop_on(signals, shutdown.clone()));
    loom.serve(bound, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}

/// The signals that ask this process to stop, heard from the moment this exists.
struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Fires `shutdown` at the first signal and ends the process at the second.
async fn stop_on(mut signals: StopSignals, shutdown: CancellationToken) {
    signals.next().await;
    tracing::info!("stopping; a second signal stops at once");
    shutdown.cancel();
    signals.next().await;
    tracing::warn!("stopped by a second signal");
    // What was acknowledged is on disk; the rest is recovered at the next start.
    tokio::time::sleep(Duration::from_millis(10)).await;
    #[expect(clippy::exit, reason = "the operator asked twice")]
    std::process::exit(1);
}
