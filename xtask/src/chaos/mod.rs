//! Kills the real server again and again, at random moments and at named fail points, while clients load it, and checks
//! that nothing that was acknowledged is lost and nothing that must not happen twice does.
//!
//! A seed decides what is sent, by whom, and when the server dies. What the processes do in between is up to the machine, so
//! the same seed gives the same schedule and not the same run.

mod check;
mod client;
mod dice;
mod facts;
mod http;
mod people;
mod plan;
mod recorder;
mod report;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::MetadataCommand;
use clap::{Args, ValueEnum};
use loom_base::FailPoint;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::postgres::{self, Throwaway};
use crate::workspace::{cargo, run as run_command};
use check::Run;
use client::Client;
use facts::Facts;
use plan::Kill;
use recorder::Recorder;
pub(crate) use recorder::serve as record;
use report::{Deaths, Report};
use server::{Server, Site, Store};
use world::{Now, Phase, World};

/// Clients that load the server at a time.
const CLIENTS: u64 = 24;
/// How long a server may take to come to its fail point; then it is killed wherever it is.
const POINT_LIMIT: Duration = Duration::from_secs(3);
/// How long what was begun may take to end when nothing kills the server any more.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// What is tried.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How often the server is killed
    #[arg(long, default_value_t = 64)]
    kills: usize,
    /// What decides the load and the kills; one of its own each time when it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Where the server keeps its data
    #[arg(long, value_enum, default_value_t = Stores::Sqlite)]
    store: Stores,
    /// The time after which it kills no more, however many are left
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

impl Options {
    /// As many kills as there are fail points, and as many at random: seconds, once the server is built.
    pub(crate) fn brief() -> Self {
        Self { kills: 2 * FailPoint::ALL.len(), seed: None, store: Stores::Sqlite, minutes: 1 }
    }
}

/// Where servers keep their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stores {
    /// In a file
    Sqlite,
    /// In a throwaway PostgreSQL
    Postgres,
    /// One after the other
    Both,
}

/// Builds `looms` with fail points, kills it as often as asked, prints a table, and fails on any violation.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let postgres = match options.store {
        Stores::Sqlite => None,
        Stores::Postgres | Stores::Both => {
            let bin = postgres::find().context("no initdb found; install postgresql")?;
            Some(Throwaway::start(&bin)?)
        }
    };
    let built = build(root)?;
    if options.store != Stores::Postgres {
        try_store(&built, options, Store::Sqlite)?;
    }
    postgres.map_or(Ok(()), |throwaway| try_store(&built, options, Store::Postgres(throwaway.url())))
}

/// Kills servers that keep their data in `store`.
fn try_store(built: &Built, options: &Options, store: Store) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("chaos-").tempdir_in(&built.target)?;
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(since_epoch.as_secs());
    println!("seed {seed}: {} kills, {CLIENTS} clients, {}", options.kills, store.name());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let violations = runtime.block_on(campaign(built, scratch.path(), options, store, seed))?;
    if violations.is_empty() {
        return Ok(());
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    let kept = scratch.keep();
    bail!(
        "{} violations; `--seed {seed}` tries the same again; data and logs: {}",
        violations.len(),
        kept.display()
    )
}

/// A server with fail points.
struct Built {
    looms: PathBuf,
    /// The folder of builds, where there is room.
    target: PathBuf,
    _folder: tempfile::TempDir,
}

fn build(root: &Path) -> Result<Built> {
    run_command(cargo(root).args(["build", "--package", "looms", "--features", "failpoints"]))?;
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let target = metadata.target_directory.into_std_path_buf();
    let folder = tempfile::Builder::new().prefix("chaos-binary-").tempdir_in(&target)?;
    let looms = folder.path().join("looms");
    let binary = target.join("debug").join("looms");
    // Moved away, so that nobody takes it for the one without fail points.
    std::fs::rename(&binary, &looms).with_context(|| format!("cannot take {}", binary.display()))?;
    Ok(Built { looms, target, _folder: folder })
}

async fn campaign(
    built: &Built,
    folder: &Path,
    options: &Options,
    store: Store,
    seed: u64,
) -> Result<Vec<String>> {
    let begun = Instant::now();
    let silence = store.silence();
    let recorder = Arc::new(Recorder::start(folder.join("effects.jsonl"))?);
    let mut site = Site::make(built.looms.clone(), folder.join("site"), recorder.address, store, seed)?;
    let (news, world) = World::new();
    let mut clients = JoinSet::new();
    for name in 0..CLIENTS {
        clients.spawn(Client::new(name, seed, world.clone()).run());
    }
    let people = tokio::spawn({
        let (world, recorder) = (world.clone(), Arc::clone(&recorder));
        async move { people::look_after(world, &recorder, seed).await }
    });
    let mut deaths = Deaths::default();
    let end = begun + Duration::from_mins(options.minutes);
    for kill in plan::kills(seed, options.kills, silence) {
        if Instant::now() > end {
            break;
        }
        live_and_die(&mut site, kill, &news, POINT_LIMIT + silence, &mut deaths).await?;
    }
    let server = site.start(None).await?.context("a server without a fail point died")?;
    news.send_modify(|now| *now = Now { phase: Phase::Settle, port: Some(server.port), life: now.life + 1 });
    settle(&server, &mut clients).await?;
    news.send_modify(|now| now.phase = Phase::Over);
    people.await?;
    let seen = world.seen().clone();
    let facts = Facts::gather(server.port, &seen.attempts).await?;
    server.kill().await?;
    let recorded = recorder.recorded()?;
    let violations = check::violations(&Run { seen: &seen, facts: &facts, recorded: &recorded });
    let report = Report {
        seed,
        took: begun.elapsed(),
        deaths: &deaths,
        seen: &seen,
        facts: &facts,
        recorded: &recorded,
        resumed: site.resumed()?,
        violations: &violations,
    };
    println!("{report}");
    Ok(violations)
}

/// One life of the server, from its start to the death that is planned for it.
async fn live_and_die(
    site: &mut Site,
    kill: Kill,
    news: &tokio::sync::watch::Sender<Now>,
    point_limit: Duration,
    deaths: &mut Deaths,
) -> Result<()> {
    let place = match kill {
        Kill::At(place) => Some(place),
        Kill::After(_) => None,
    };
    let server = site.start(place).await?;
    let mut at_point = true;
    if let Some(mut server) = server {
        news.send_modify(|now| *now = Now { port: Some(server.port), life: now.life + 1, ..*now });
        let limit = if let Kill::After(time) = kill { time } else { point_limit };
        at_point = server.dies_before(Instant::now() + limit).await;
        news.send_modify(|now| now.port = None);
        if !at_point {
            server.kill().await?;
        }
    }
    match kill {
        Kill::At(place) if at_point => *deaths.at_points.entry(place.point).or_default() += 1,
        Kill::At(..) => {
            deaths.at_random += 1;
            deaths.missed += 1;
        }
        Kill::After(_) if at_point => bail!("the server died of itself: see its log"),
        Kill::After(_) => deaths.at_random += 1,
    }
    Ok(())
}

/// Waits until clients and turns have come to their ends. What has not by then is found among the facts.
async fn settle(server: &Server, clients: &mut JoinSet<()>) -> Result<()> {
    let end = Instant::now() + SETTLE_LIMIT;
    while let Ok(Some(ended)) = tokio::time::timeout_at(end, clients.join_next()).await {
        ended?;
    }
    while Instant::now() < end && !server.unfinished().await?.is_empty() {
        sleep(LOOK).await;
    }
    Ok(())
}
