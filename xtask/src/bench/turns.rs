//! Durable tool turns: two model calls, one query on a SQLite backend, everything committed before the answer.
//!
//! The load comes from this process over gRPC, one connection a client, and shares the processors with the server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Place;
use super::load::{Client, runtime};
use super::sample::{Sample, millis};
use super::server::{Server, processor_time};
use super::site::Site;
use super::table::Table;

/// Clients that ask at the same time, each its next question when it has its answer.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// What is not counted: connections, pools and caches fill.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is counted.
const WINDOW: Duration = Duration::from_secs(8);

pub(super) fn measure(place: &Place) -> Result<String> {
    let mut table = Table::new([
        "clients",
        "turns",
        "turns/s",
        "p50",
        "p99",
        "server CPU a turn",
        "load CPU a turn",
        "cores in use",
        "commits a turn",
    ]);
    for clients in CLIENTS {
        let site = Site::make(place, &format!("turns-{clients}"), 0)?;
        let server = site.start()?;
        let seen = runtime()?.block_on(load(place, &server, clients, &[]))?;
        check(&server)?;
        let commits = commits_a_turn(&server)?;
        server.stop()?;
        table.row(seen.row(clients, commits)?);
    }
    Ok(table.to_string())
}

/// Commits for each turn since the server was started, those of new sessions included.
fn commits_a_turn(server: &Server) -> Result<String> {
    let turns = u32::try_from(server.metric("loom_turns_total", "")?)?;
    let commits = u32::try_from(server.metric("loom_store_commits_total", "")?)?;
    Ok(format!("{:.2}", f64::from(commits) / f64::from(turns.max(1))))
}

/// Leaves `sessions` sessions of `turns` turns each behind.
pub(super) fn fill(place: &Place, server: &Server, sessions: usize, turns: usize) -> Result<()> {
    let asking = async {
        let mut client = Client::connect(&place.api, server.grpc_port()).await?;
        for _ in 0..sessions {
            let mut session = String::new();
            for _ in 0..turns {
                session = client.ask(&session).await?;
            }
        }
        Ok(())
    };
    runtime()?.block_on(asking)
}

/// What was seen in the window.
pub(super) struct Seen {
    turns: Vec<Duration>,
    window: Duration,
    server: Duration,
    load: Duration,
}

/// Asks with `clients` clients for the warm-up and the window, each one of `agents`; the default agent when there are none.
pub(super) async fn load(place: &Place, server: &Server, clients: usize, agents: &[String]) -> Result<Seen> {
    let mut connected = Vec::with_capacity(clients);
    for client in 0..clients {
        let agent = agents.get(client % agents.len().max(1)).map_or("", String::as_str);
        connected.push(Client::connect(&place.api, server.grpc_port()).await?.of_agent(agent));
    }
    // Only now: the time it takes to connect is not the window's.
    let end = Instant::now() + WARM_UP + WINDOW;
    let mut asking = tokio::task::JoinSet::new();
    for client in connected {
        asking.spawn(client.ask_until(end));
    }
    let used = || Ok::<_, anyhow::Error>((Instant::now(), server.processor_time()?, processor_time("self")?));
    tokio::time::sleep(WARM_UP).await;
    let (began, server_before, load_before) = used()?;
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    let (ended, server_after, load_after) = used()?;
    let mut turns = Vec::new();
    while let Some(asked) = asking.join_next().await {
        let answered = asked??;
        turns
            .extend(answered.into_iter().filter(|(at, _)| (began..ended).contains(at)).map(|(_, took)| took));
    }
    let window = ended.duration_since(began);
    Ok(Seen {
        turns,
        window,
        server: server_after.saturating_sub(server_before),
        load: load_after.saturating_sub(load_before),
    })
}

impl Seen {
    /// Turns a second.
    pub(super) fn rate(&self) -> Result<f64> {
        Ok(f64::from(u32::try_from(self.turns.len())?) / self.window.as_secs_f64())
    }

    fn row(self, clients: usize, commits: String) -> Result<[String; 9]> {
        let (turns, rate) = (u32::try_from(self.turns.len())?, self.rate()?);
        let sample = Sample::of(self.turns).context("no turn ended in time")?;
        let cores = (self.server + self.load).as_secs_f64() / self.window.as_secs_f64();
        Ok([
            clients.to_string(),
            turns.to_string(),
            format!("{rate:.0}"),
            millis(sample.percentile(50)),
            millis(sample.percentile(99)),
            millis(self.server / turns),
            millis(self.load / turns),
            format!("{cores:.2}"),
            commits,
        ])
    }
}

/// Fails when turns were not what they are said to be.
fn check(server: &Server) -> Result<()> {
    let turns = server.metric("loom_turns_total", "outcome=\"finished\"")?;
    let calls = server.metric("loom_llm_calls_total", "outcome=\"ok\"")?;
    let tools = server.metric("loom_tool_calls_total", "outcome=\"succeeded\"")?;
    if turns == 0 || calls != 2 * turns || tools != turns {
        bail!("{turns} turns made {calls} model calls and {tools} tool calls that went well");
    }
    Ok(())
}
