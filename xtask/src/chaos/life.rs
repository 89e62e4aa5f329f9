//! The lives of one server, each from its start to the death that is planned for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::outage::Gate;
use super::plan::Kill;
use super::report::Deaths;
use super::server::{Server, Site};
use super::world::Now;

/// One server among those there are.
pub(super) struct Slot {
    pub(super) place: usize,
    pub(super) site: Site,
    pub(super) news: Arc<watch::Sender<Now>>,
    pub(super) gate: Gate,
    /// When it dies no more.
    pub(super) end: Instant,
    /// How long it may take to come to its fail point.
    pub(super) point_limit: Duration,
    pub(super) kills: Vec<Kill>,
}

impl Slot {
    /// Lives and dies as planned.
    pub(super) async fn live(mut self) -> Result<(Site, Deaths)> {
        let mut deaths = Deaths::default();
        for kill in std::mem::take(&mut self.kills) {
            if Instant::now() > self.end {
                break;
            }
            self.live_once(kill, &mut deaths).await?;
        }
        Ok((self.site, deaths))
    }

    fn is_at(&self, port: Option<u16>) {
        self.news.send_modify(|now| {
            now.ports[self.place] = port;
            now.life += usize::from(port.is_some());
        });
    }

    async fn live_once(&mut self, kill: Kill, deaths: &mut Deaths) -> Result<()> {
        let place = match kill {
            Kill::At(place) => Some(place),
            Kill::After(_) | Kill::Stop(_) | Kill::Freeze { .. } => None,
        };
        // A server needs the database to start.
        let started = {
            let _open = self.gate.open().await;
            self.site.start(place).await?
        };
        let Some(server) = started else {
            if let Kill::At(place) = kill {
                *deaths.at_points.entry(place.point).or_default() += 1;
            }
            return Ok(());
        };
        self.is_at(Some(server.port));
        match kill {
            Kill::At(place) => {
                if self.dies(server, self.point_limit).await? {
                    *deaths.at_points.entry(place.point).or_default() += 1;
                } else {
                    deaths.at_random += 1;
                    deaths.missed += 1;
                }
            }
            Kill::After(after) => {
                self.live_until(server, after).await?;
                deaths.at_random += 1;
            }
            Kill::Stop(after) => {
                self.stop(server, after).await?;
                deaths.stopped += 1;
            }
            Kill::Freeze { after, span, then } => {
                self.freeze(server, after, span, then).await?;
                deaths.frozen += 1;
            }
        }
        Ok(())
    }

    /// Whether it dies by itself within `limit`; else it is killed.
    async fn dies(&self, mut server: Server, limit: Duration) -> Result<bool> {
        let died = server.dies_before(Instant::now() + limit).await;
        self.is_at(None);
        if !died {
            server.kill().await?;
        }
        Ok(died)
    }

    /// Kills it after a while, in which it must not die by itself.
    async fn live_until(&self, server: Server, after: Duration) -> Result<()> {
        if self.dies(server, after).await? {
            bail!("the server died of itself: see its log");
        }
        Ok(())
    }

    async fn stop(&self, mut server: Server, after: Duration) -> Result<()> {
        if server.dies_before(Instant::now() + after).await {
            bail!("the server died of itself: see its log");
        }
        self.is_at(None);
        server.stop().await
    }

    async fn freeze(
        &self,
        mut server: Server,
        after: Duration,
        span: Duration,
        then: Duration,
    ) -> Result<()> {
        if server.dies_before(Instant::now() + after).await {
            bail!("the server died of itself: see its log");
        }
        server.signal("STOP").await?;
        self.is_at(None);
        sleep(span).await;
        server.signal("CONT").await?;
        self.is_at(Some(server.port));
        self.live_until(server, then).await
    }
}
