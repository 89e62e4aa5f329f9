//! What a turn allocates, counted by the allocator of the bench server. The product has no such allocator.

use anyhow::{Context as _, Result};

use super::Place;
use super::load::{Client, runtime};
use super::server::Server;
use super::site::Site;
use super::table::Table;

/// What is not counted: connections, pools and caches fill.
const WARM_UP: usize = 200;
/// What is counted, in one session of one client.
const TURNS: usize = 1_000;
/// A question for which no pattern is found, and one that comes with a pattern.
const QUESTION: &str = "SELECT * FROM test_table WHERE id = 1";
/// Before L1 is full, and with it.
const FILLED: usize = 300;

pub(super) fn measure(place: &Place) -> Result<String> {
    let site = Site::make(place, "allocations", 0)?;
    let shop = site.shop();
    let shop = shop.to_str().context("a path that is no text")?;
    let mut table = Table::new(["turn", "turns", "allocations a turn", "KiB allocated a turn"]);
    for (name, arguments) in [("no tool", Vec::new()), ("one query", vec!["--database", shop])] {
        let arguments =
            [["--llm-latency", "0ms", "--stream-chunk-size", "0"].as_slice(), &arguments].concat();
        let server = Server::start_bench(&place.bench_server, &arguments, &site.file("log"))?;
        let counted = runtime()?.block_on(count(place, &server))?;
        server.stop()?;
        table.row([
            name.to_owned(),
            TURNS.to_string(),
            format!("{:.0}", counted.0 / f64::from(u32::try_from(TURNS)?)),
            format!("{:.1}", counted.1 / f64::from(u32::try_from(TURNS)?) / 1024.0),
        ]);
    }
    Ok(table.to_string())
}

/// Allocations and bytes of all counted turns, the requests and answers of gRPC included.
async fn count(place: &Place, server: &Server) -> Result<(f64, f64)> {
    let mut client = Client::connect(&place.api, server.grpc_port()).await?;
    let mut session = String::new();
    for _ in 0..WARM_UP + FILLED {
        let answer = client.weave(QUESTION, &session).await?;
        session = client.method().text(&answer, "session_id")?;
    }
    let counts = || {
        Ok::<_, anyhow::Error>((server.bench_metric("Allocations")?, server.bench_metric("AllocatedBytes")?))
    };
    let before = counts()?;
    for _ in 0..TURNS {
        client.weave(QUESTION, &session).await?;
    }
    let after = counts()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let difference = |after: u64, before: u64| after.saturating_sub(before) as f64;
    Ok((difference(after.0, before.0), difference(after.1, before.1)))
}
