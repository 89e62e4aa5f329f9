//! Kills the real server again and again, at random moments and at named fail points, while clients load it, and checks
//! that nothing that was acknowledged is lost and nothing that must not happen twice does.
//!
//! A run is made of rounds, each with data, clients and a check of its own; several of them go on beside each other, because a
//! server that lives for a moment leaves the machine idle. A seed decides what is sent, by whom, and when the server dies. What the
//! processes do in between is up to the machine, so the same seed gives the same schedule and not the same run.

mod budgets;
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
mod round;
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
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::postgres::{self, Throwaway};
use crate::workspace::{cargo, run as run_command};
pub(crate) use recorder::serve as record;
use report::Table;
use round::Round;
use server::Store;
use world::MOST_SERVERS;

/// Kills of one round at most: few enough that its data stay small, and what they break is found soon.
const KILLS_A_ROUND: usize = 200;

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
    /// Rounds of at most 200 kills that go on beside each other
    #[arg(long, default_value_t = 4)]
    beside: usize,
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
            beside: 1,
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
    ensure!(options.beside > 0, "there is no run without a round");
    let postgres = match options.store {
        Stores::Sqlite => None,
        Stores::Postgres | Stores::Both => {
            Some(postgres::find().context("no initdb found; install postgresql")?)
        }
    };
    let built = Arc::new(build(root)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if options.store != Stores::Postgres {
        runtime.block_on(Campaign::new(&built, options, None)?.run())?;
    }
    postgres.map_or(Ok(()), |bin| runtime.block_on(Campaign::new(&built, options, Some(bin))?.run()))
}

/// A server with fail points.
struct Built {
    looms: PathBuf,
    /// The folder of builds, where there is room.
    target: PathBuf,
    _folder: TempDir,
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

/// All rounds on one kind of store.
struct Campaign {
    built: Arc<Built>,
    options: Options,
    /// Where PostgreSQL's programs are, when it is that.
    postgres: Option<PathBuf>,
    seed: u64,
    begun: Instant,
}

/// What became of a round.
struct Outcome {
    number: u64,
    kills: usize,
    /// The data and logs.
    folder: TempDir,
    found: Result<(Table, Vec<String>)>,
}

impl Campaign {
    fn new(built: &Arc<Built>, options: &Options, postgres: Option<PathBuf>) -> Result<Self> {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let seed = options.seed.unwrap_or(since_epoch.as_secs());
        Ok(Self { built: Arc::clone(built), options: options.clone(), postgres, seed, begun: Instant::now() })
    }

    /// Goes through the rounds, prints the sum of them, and fails when one of them found something.
    async fn run(self) -> Result<()> {
        let store = if self.postgres.is_some() { "PostgreSQL" } else { "SQLite" };
        let (kills, servers) = (self.options.kills, self.options.servers);
        println!("seed {}: {kills} kills, {servers} servers, {} clients, {store}", self.seed, round::CLIENTS);
        let mut plan = (0..).zip(shares(kills));
        let (mut rounds, mut table, mut bad) = (JoinSet::new(), Table::default(), Vec::new());
        loop {
            while rounds.len() < self.options.beside && bad.is_empty() && Instant::now() < self.end() {
                let Some((number, kills)) = plan.next() else { break };
                rounds.spawn(self.round(number, kills)?);
            }
            let Some(outcome) = rounds.join_next().await else { break };
            self.conclude(outcome?, &mut table, &mut bad);
        }
        println!("{table}seed {}, {} s", self.seed, self.begun.elapsed().as_secs());
        if bad.is_empty() { Ok(()) } else { bail!("{}", bad.join("\n")) }
    }

    fn end(&self) -> Instant {
        self.begun + Duration::from_mins(self.options.minutes)
    }

    /// A round, ready to go.
    fn round(&self, number: u64, kills: usize) -> Result<impl Future<Output = Outcome> + Send + use<>> {
        let folder = tempfile::Builder::new().prefix("chaos-").tempdir_in(&self.built.target)?;
        // Started one after the other, before anything else of the round: two at once would look for the same port.
        let database = self.postgres.as_deref().map(Throwaway::start).transpose()?;
        let store = database.as_ref().map_or(Store::Sqlite, |database| Store::Postgres(database.url()));
        let round = Round {
            built: Arc::clone(&self.built),
            folder: folder.path().to_path_buf(),
            store,
            seed: self.seed.wrapping_add(number),
            kills,
            servers: self.options.servers,
            kills_database: self.options.kill_database,
            end: self.end(),
        };
        Ok(async move { Outcome { number, kills, folder, found: round.run(database).await } })
    }

    /// Adds what a round found; keeps its data where that is bad.
    fn conclude(&self, outcome: Outcome, table: &mut Table, bad: &mut Vec<String>) {
        let Outcome { number, kills, folder, found } = outcome;
        let problems = match found {
            Ok((rows, violations)) => {
                table.add(rows);
                violations
            }
            Err(error) => vec![format!("{error:#}")],
        };
        println!("round {number}: {} problems, {} s so far", problems.len(), self.begun.elapsed().as_secs());
        if problems.is_empty() {
            return;
        }
        for problem in &problems {
            eprintln!("{problem}");
        }
        let (seed, kept) = (self.seed.wrapping_add(number), folder.keep());
        let again = format!("`--seed {seed} --kills {kills}` tries the same again");
        bad.push(format!("{} violations; {again}; data and logs: {}", problems.len(), kept.display()));
    }
}

/// The kills of each round, about the same.
fn shares(kills: usize) -> impl Iterator<Item = usize> {
    let rounds = kills.div_ceil(KILLS_A_ROUND).max(1);
    (0..rounds).map(move |round| kills / rounds + usize::from(round < kills % rounds))
}
