//! One round: a store of its own, servers that die on it, clients and people, and the check at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Built;
use super::check::{self, Run};
use super::client::Client;
use super::facts::Facts;
use super::life::Slot;
use super::outage::{self, Gate};
use super::people;
use super::plan;
use super::recorder::Recorder;
use super::report::{Deaths, Report, Table};
use super::server::{Server, Site, Store};
use super::world::{Now, Phase, World};
use crate::postgres::Throwaway;

/// Clients that load the server at a time.
pub(super) const CLIENTS: u64 = 24;
/// How long a server may take to come to its fail point; then it is killed wherever it is.
const POINT_LIMIT: Duration = Duration::from_millis(1_500);
/// How long what was begun may take to end when nothing kills the server any more.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// One round.
pub(super) struct Round {
    pub(super) built: Arc<Built>,
    /// Where it keeps everything.
    pub(super) folder: PathBuf,
    pub(super) store: Store,
    pub(super) seed: u64,
    pub(super) kills: usize,
    pub(super) servers: usize,
    pub(super) kills_database: bool,
    /// When it kills no more.
    pub(super) end: Instant,
}

impl Round {
    /// Lives through it: what happened, and everything that contradicts a promise. The database is the store's.
    pub(super) async fn run(self, database: Option<Throwaway>) -> Result<(Table, Vec<String>)> {
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
            .take_if(|_| self.kills_database)
            .map(|database| tokio::spawn(outage::again_and_again(database, gate.clone(), self.seed)));
        let (mut sites, mut deaths) = self.lives(&news, &gate, &recorder).await?;
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
            deaths: &deaths,
            seen: &seen,
            facts: &facts,
            recorded: &recorded,
            resumed: Site::resumed(&sites)?,
            violations: &violations,
        };
        let table = report.table();
        drop(database);
        Ok((table, violations))
    }

    /// Every server lives and dies as often as is planned for it, beside the others.
    async fn lives(
        &self,
        news: &Arc<watch::Sender<Now>>,
        gate: &Gate,
        recorder: &Recorder,
    ) -> Result<(Vec<Site>, Deaths)> {
        let count = self.servers;
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
                end: self.end,
                point_limit: POINT_LIMIT + silence,
                kills: plan::kills(seed, self.kills.div_ceil(count), silence, count == 1),
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
