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
mod life;
mod outage;
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

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use clap::{Args, ValueEnum};
use loom_base::FailPoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::postgres::{self, Throwaway};
use crate::workspace::{cargo, run as run_command};
use check::Run;
use client::Client;
use facts::Facts;
use life::Slot;
use outage::Gate;
use recorder::Recorder;
pub(crate) use recorder::serve as record;
use report::{Deaths, Report};
use server::{Server, Site, Store};
use world::{MOST_SERVERS, Now, Phase, World};

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
    /// Servers that share a PostgreSQL database; the kills are spread over them
    #[arg(long, default_value_t = 1)]
    servers: usize,
    /// Kill the PostgreSQL server too, and start it again
    #[arg(long)]
    kill_database: bool,
    /// The time after which it kills no more, however many are left
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

impl Options {
    /// As many kills as there are fail points, and as many at random: seconds, once the server is built.
    pub(crate) fn brief() -> Self {
        Self {
            kills: 2 * FailPoint::ALL.len(),
            seed: None,
            store: Stores::Sqlite,
            servers: 1,
            kill_database: false,
            minutes: 1,
        }
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
    if options.servers > 1 || options.kill_database {
        ensure!(options.store == Stores::Postgres, "--servers and --kill-database need --store postgres");
    }
    ensure!((1..=MOST_SERVERS).contains(&options.servers), "there are 1 to {MOST_SERVERS} servers");
    let postgres = match options.store {
        Stores::Sqlite => None,
        Stores::Postgres | Stores::Both => {
            let bin = postgres::find().context("no initdb found; install postgresql")?;
            Some(Throwaway::start(&bin)?)
        }
    };
    let built = build(root)?;
    if options.store != Stores::Postgres {
        try_store(&built, options, Store::Sqlite, None)?;
    }
    postgres.map_or(Ok(()), |throwaway| {
        try_store(&built, options, Store::Postgres(throwaway.url()), Some(throwaway))
    })
}

/// Kills servers that keep their data in `store`, whose server is `database`.
fn try_store(built: &Built, options: &Options, store: Store, database: Option<Throwaway>) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("chaos-").tempdir_in(&built.target)?;
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(since_epoch.as_secs());
    let (kills, servers) = (options.kills, options.servers);
    println!("seed {seed}: {kills} kills, {servers} servers, {CLIENTS} clients, {}", store.name());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let campaign = Campaign { built, folder: scratch.path(), options, store, seed };
    let outcome = runtime.block_on(campaign.run(database));
    let violations = match outcome {
        Ok(violations) if violations.is_empty() => return Ok(()),
        Ok(violations) => violations,
        Err(error) => {
            let kept = scratch.keep();
            return Err(error.context(format!("seed {seed}; data and logs: {}", kept.display())));
        }
    };
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

/// One run.
struct Campaign<'a> {
    built: &'a Built,
    folder: &'a Path,
    options: &'a Options,
    store: Store,
    seed: u64,
}

impl Campaign<'_> {
    async fn run(self, database: Option<Throwaway>) -> Result<Vec<String>> {
        let begun = Instant::now();
        let recorder = Arc::new(Recorder::start(self.folder.join("effects.jsonl"))?);
        let (news, world) = World::new();
        let news = Arc::new(news);
        let mut clients = JoinSet::new();
        for name in 0..CLIENTS {
            clients.spawn(Client::new(name, self.seed, world.clone()).run());
        }
        let people = tokio::spawn({
            let (world, recorder, seed) = (world.clone(), Arc::clone(&recorder), self.seed);
            async move { people::look_after(world, &recorder, seed).await }
        });
        let gate = Gate::default();
        // Gone with the run, and not before.
        let mut database = database;
        let outages = database
            .take_if(|_| self.options.kill_database)
            .map(|database| tokio::spawn(outage::again_and_again(database, gate.clone(), self.seed)));
        let (mut sites, mut deaths) = self.lives(&news, &gate, &recorder, begun).await?;
        if let Some(outages) = outages {
            gate.close();
            let (alive, died) = outages.await??;
            database = Some(alive);
            deaths.databases = died;
        }
        let mut servers = Vec::new();
        for (place, site) in sites.iter_mut().enumerate() {
            let server = site.start(None).await?.context("a server without a fail point died")?;
            news.send_modify(|now| {
                *now = Now { phase: Phase::Settle, life: now.life + 1, ..*now };
                now.ports[place] = Some(server.port);
            });
            servers.push(server);
        }
        let server = servers.first().context("there is no server")?;
        settle(server, &mut clients).await?;
        news.send_modify(|now| now.phase = Phase::Over);
        people.await?;
        let seen = world.seen().clone();
        let facts = Facts::gather(server.port, &seen.attempts).await?;
        for server in servers {
            server.kill().await?;
        }
        let recorded = recorder.recorded()?;
        let violations = check::violations(&Run { seen: &seen, facts: &facts, recorded: &recorded });
        let report = Report {
            seed: self.seed,
            took: begun.elapsed(),
            deaths: &deaths,
            seen: &seen,
            facts: &facts,
            recorded: &recorded,
            resumed: Site::resumed(&sites)?,
            violations: &violations,
        };
        println!("{report}");
        drop(database);
        Ok(violations)
    }

    /// Every server lives and dies as often as is planned for it, beside the others.
    async fn lives(
        &self,
        news: &Arc<watch::Sender<Now>>,
        gate: &Gate,
        recorder: &Recorder,
        begun: Instant,
    ) -> Result<(Vec<Site>, Deaths)> {
        let count = self.options.servers;
        let mut lives = Vec::new();
        for place in 0..count {
            let folder = self.folder.join(format!("site-{place}"));
            let looms = self.built.looms.clone();
            let site = Site::make(looms, folder, recorder.address, self.store.clone(), self.seed)?;
            let silence = self.store.silence();
            let seed = self.seed.wrapping_add(place as u64);
            let slot = Slot {
                place,
                site,
                news: Arc::clone(news),
                gate: gate.clone(),
                end: begun + Duration::from_mins(self.options.minutes),
                point_limit: POINT_LIMIT + silence,
                kills: plan::kills(seed, self.options.kills.div_ceil(count), silence, count == 1),
            };
            lives.push(tokio::spawn(slot.live()));
        }
        let (mut sites, mut deaths) = (Vec::new(), Deaths::default());
        for life in lives {
            let (site, died) = life.await??;
            sites.push(site);
            deaths.add(died);
        }
        Ok((sites, deaths))
    }
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
