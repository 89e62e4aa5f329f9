//! Durable tool turns: two model calls, one query on a SQLite backend, everything committed before the answer.
//!
//! The load comes from this process over gRPC, one connection a client, and shares the processors with the server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Place;
use super::grpc::{Connection, Method};
use super::sample::{Sample, millis};
use super::server::{Server, processor_time};
use super::site::{ANSWER, QUESTION, Site};
use super::table::Table;

/// Clients that ask at the same time, each its next question when it has its answer.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Turns of a session before its client begins another.
const TURNS_A_SESSION: usize = 10;
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
    ]);
    for clients in CLIENTS {
        let site = Site::make(place, &format!("turns-{clients}"), 0)?;
        let server = site.start()?;
        let seen = runtime()?.block_on(load(place, &server, clients))?;
        check(&server)?;
        server.stop()?;
        table.row(seen.row(clients)?);
    }
    Ok(table.to_string())
}

/// Leaves `sessions` sessions of `turns` turns each behind.
pub(super) fn fill(place: &Place, server: &Server, sessions: usize, turns: usize) -> Result<()> {
    let asking = async {
        let mut client = Client::connect(place, server.grpc_port()).await?;
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

/// One thread: the load shall take no more than it must.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What was seen in the window.
struct Seen {
    turns: Vec<Duration>,
    window: Duration,
    server: Duration,
    load: Duration,
}

/// Asks with `clients` clients for the warm-up and the window.
async fn load(place: &Place, server: &Server, clients: usize) -> Result<Seen> {
    let mut connected = Vec::with_capacity(clients);
    for _ in 0..clients {
        connected.push(Client::connect(place, server.grpc_port()).await?);
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
    fn row(self, clients: usize) -> Result<[String; 8]> {
        let turns = u32::try_from(self.turns.len())?;
        let sample = Sample::of(self.turns).context("no turn ended in time")?;
        let cores = (self.server + self.load).as_secs_f64() / self.window.as_secs_f64();
        Ok([
            clients.to_string(),
            turns.to_string(),
            format!("{:.0}", f64::from(turns) / self.window.as_secs_f64()),
            millis(sample.percentile(50)),
            millis(sample.percentile(99)),
            millis(self.server / turns),
            millis(self.load / turns),
            format!("{cores:.2}"),
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

/// One who asks.
struct Client {
    connection: Connection,
    method: Method,
}

impl Client {
    async fn connect(place: &Place, port: u16) -> Result<Self> {
        Ok(Self { connection: Connection::open(port).await?, method: Method::read(&place.api, "Weave")? })
    }

    /// Asks in `session`, or in a new one when that is empty, and returns the session's id.
    async fn ask(&mut self, session: &str) -> Result<String> {
        let request = self.method.request(&[("query", QUESTION), ("session_id", session)])?;
        let answer = self.connection.call(&self.method, request).await?;
        let text = self.method.text(&answer, "text")?;
        if text != ANSWER {
            bail!("a turn answered {text:?}");
        }
        self.method.text(&answer, "session_id")
    }

    /// Asks until `end`; returns when each answer came and how long it took.
    async fn ask_until(mut self, end: Instant) -> Result<Vec<(Instant, Duration)>> {
        let mut answered = Vec::new();
        let mut session = String::new();
        while Instant::now() < end {
            if answered.len() % TURNS_A_SESSION == 0 {
                session.clear();
            }
            let asked = Instant::now();
            session = self.ask(&session).await?;
            let now = Instant::now();
            answered.push((now, now.duration_since(asked)));
        }
        Ok(answered)
    }
}
