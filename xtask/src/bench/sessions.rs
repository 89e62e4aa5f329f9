//! What idle servers, sessions and agents take, and how long a server needs that a kill left with many turns to take up.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Place;
use super::grpc::{Connection, Method};
use super::load::{Client, runtime};
use super::sample::millis;
use super::server::Server;
use super::site::Site;
use super::table::Table;
use super::turns;

/// Sessions of one turn each that are left alone.
const DORMANT: usize = 100_000;
/// How long the bench server keeps a session in memory that nobody uses.
const IDLE: &str = "2";
/// Sessions that are looked at while they are in memory.
const RESIDENT: usize = 10_000;
/// Clients that fill servers.
const CLIENTS: usize = 64;
/// Turns that a kill cuts off.
const UNFINISHED: usize = 10_000;
/// Connections they come over.
const CONNECTIONS: usize = 100;
/// Clients that ask agents.
const ASKERS: usize = 64;
/// An idle server has come to rest by then.
const REST: Duration = Duration::from_secs(2);
/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(20);
/// What is not over by then never will be.
const LIMIT: Duration = Duration::from_mins(2);
/// The model takes this long: longer than the kill is away.
const NEVER_MS: u64 = 600_000;

const QUESTION: &str = "SELECT * FROM test_table WHERE id = 1";

pub(super) fn measure(place: &Place) -> Result<String> {
    let mut table = Table::new(["what", "figure"]);
    idle(place, &mut table)?;
    resident(place, &mut table)?;
    dormant(place, &mut table)?;
    agents(place, &mut table)?;
    unfinished(place, &mut table)?;
    Ok(table.to_string())
}

fn row(table: &mut Table<2>, what: impl Into<String>, figure: impl Into<String>) {
    table.row([what.into(), figure.into()]);
}

fn rest() {
    std::thread::sleep(REST);
}

/// KiB that went from `before` to `after` for each of `count`, or that they do not show.
fn each(before: u64, after: u64, count: usize) -> String {
    let bytes = after.saturating_sub(before) * 1_024 / count.max(1) as u64;
    format!("{}.{:02} KiB", bytes / 1_024, bytes % 1_024 * 100 / 1_024)
}

fn idle(place: &Place, table: &mut Table<2>) -> Result<()> {
    let site = Site::make(place, "idle", 0)?;
    let server = site.start()?;
    rest();
    row(table, "idle server on an empty store, resident", format!("{} MiB", server.resident_kib()? / 1_024));
    server.stop()
}

/// Sessions in memory: a client may go on with each at once.
fn resident(place: &Place, table: &mut Table<2>) -> Result<()> {
    let site = Site::make(place, "resident", 0)?;
    let server = bench(place, &site, &["--llm-latency", "0ms"])?;
    runtime()?.block_on(fill(place, &server, CLIENTS))?;
    let before = server.resident_kib()?;
    runtime()?.block_on(fill(place, &server, RESIDENT))?;
    let after = server.resident_kib()?;
    row(table, format!("a session in memory, one of {RESIDENT}"), each(before, after, RESIDENT));
    server.stop()
}

/// Sessions that were put aside: they are in the store only.
fn dormant(place: &Place, table: &mut Table<2>) -> Result<()> {
    let site = Site::make(place, "dormant", 0)?;
    let arguments = ["--llm-latency", "0ms", "--idle-seconds", IDLE];
    let server = bench(place, &site, &arguments)?;
    runtime()?.block_on(fill(place, &server, CLIENTS))?;
    std::thread::sleep(REST + REST);
    let before = server.resident_kib()?;
    let begun = Instant::now();
    runtime()?.block_on(fill(place, &server, DORMANT))?;
    let took = begun.elapsed();
    std::thread::sleep(REST + REST);
    let after = server.resident_kib()?;
    row(
        table,
        format!("a dormant session, one of {DORMANT}, in the server that served them"),
        each(before, after, DORMANT),
    );
    row(
        table,
        format!("{DORMANT} sessions of one turn each, made by {CLIENTS} clients"),
        format!("{:.0} s", took.as_secs_f64()),
    );
    server.stop()?;
    let server = bench(place, &site, &arguments)?;
    rest();
    let again = server.resident_kib()?;
    row(table, format!("start with {DORMANT} dormant sessions, until it answers"), millis(server.start_time));
    row(table, "the same, resident more than an empty one", each(before, again, DORMANT) + " a session");
    server.stop()
}

fn agents(place: &Place, table: &mut Table<2>) -> Result<()> {
    for count in [1, 10] {
        let site = Site::make(place, &format!("agents-{count}"), 0)?;
        let names = site.add_agents(count)?;
        let server = site.start()?;
        rest();
        let idle = server.resident_kib()? / 1_024;
        let seen = runtime()?.block_on(turns::load(place, &server, ASKERS, &names))?;
        let busy = server.resident_kib()? / 1_024;
        server.stop()?;
        let figure = format!("{:.0} tool turns/s; {idle} MiB idle, {busy} MiB after them", seen.rate()?);
        let plural = if count == 1 { "" } else { "s" };
        row(table, format!("{count} agent{plural}, {ASKERS} clients"), figure);
    }
    Ok(())
}

/// A kill in the middle of many model calls, and the start after it.
fn unfinished(place: &Place, table: &mut Table<2>) -> Result<()> {
    let site = Site::make(place, "unfinished", 0)?;
    let server = bench(place, &site, &["--llm-latency", "0ms"])?;
    server.reconfigure(&json!({ "llm_latency_ms": NEVER_MS }))?;
    runtime()?.block_on(async {
        let mut calls = begin(place, &server).await?;
        until_unfinished(place, &server, UNFINISHED, &mut calls).await?;
        Ok::<_, anyhow::Error>(())
    })?;
    server.kill()?;
    let server = bench(place, &site, &["--llm-latency", "0ms"])?;
    let (begun, started) = (Instant::now(), server.start_time);
    let (first, all) = runtime()?.block_on(async {
        let mut client = Client::connect(&place.api, server.grpc_port()).await?;
        client.weave(QUESTION, "").await?;
        let first = begun.elapsed();
        until_unfinished(place, &server, 0, &mut JoinSet::new()).await?;
        Ok::<_, anyhow::Error>((first, begun.elapsed()))
    })?;
    row(table, format!("start with {UNFINISHED} unfinished turns, until it answers"), millis(started));
    row(table, "the same, until a new turn has its answer", millis(started + first));
    row(table, "the same, until all of them have ended", millis(started + all));
    server.stop()
}

fn bench(place: &Place, site: &Site<'_>, arguments: &[&str]) -> Result<Server> {
    let data = site.file("data").display().to_string();
    let arguments = [&["--data-dir", &data], arguments].concat();
    Server::start_bench(&place.bench_server, &arguments, &site.file("log"))
}

/// Leaves `sessions` sessions of one turn each behind.
async fn fill(place: &Place, server: &Server, sessions: usize) -> Result<()> {
    let mut asking = JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(&place.api, server.grpc_port()).await?;
        let share = sessions / CLIENTS + usize::from(number < sessions % CLIENTS);
        asking.spawn(async move {
            for _ in 0..share {
                client.weave(QUESTION, "").await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    Ok(())
}

/// Sends questions that get no answer.
async fn begin(place: &Place, server: &Server) -> Result<JoinSet<Result<bytes::Bytes>>> {
    let method = Method::read(&place.api, "Weave")?;
    let request = method.request(&[("query", QUESTION)])?;
    let mut calls = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = Connection::open(server.grpc_port()).await?;
        for _ in 0..UNFINISHED / CONNECTIONS {
            let (mut connection, method, request) = (connection.clone(), method.clone(), request.clone());
            calls.spawn(async move { connection.call(&method, request).await });
        }
    }
    Ok(calls)
}

/// Waits until so many turns have no end.
async fn until_unfinished(
    place: &Place,
    server: &Server,
    count: usize,
    calls: &mut JoinSet<Result<bytes::Bytes>>,
) -> Result<()> {
    let method = Method::read(&place.api, "ListTurns")?;
    let mut connection = Connection::open(server.grpc_port()).await?;
    let begun = Instant::now();
    loop {
        let answer = connection.call(&method, method.request(&[])?).await?;
        let unfinished = method.number(&answer, &["total_count"])?;
        if usize::try_from(unfinished)? == count {
            return Ok(());
        }
        if let Some(ended) = calls.try_join_next() {
            bail!("a turn ended that was not to: {:?}", ended?.map(|answer| answer.len()));
        }
        if begun.elapsed() > LIMIT {
            bail!("{unfinished} turns are unfinished, and not {count}");
        }
        sleep(LOOK).await;
    }
}
