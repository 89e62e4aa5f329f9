//! Whether a turn late in a long session costs what an early one does: processor time, and bytes stored.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Place;
use super::load::{Client, runtime};
use super::sample::millis;
use super::server::Server;
use super::site::Site;
use super::table::Table;

/// Sessions that grow side by side, so that a window has enough turns to be timed.
const SESSIONS: usize = 8;
/// Turns of each.
const TURNS: usize = 1_000;
/// Turns of each session that are timed together.
const WINDOW: usize = 50;
/// Bytes of each message, the question's and the answer's.
const MESSAGE: usize = 200;

/// One window.
struct Window {
    /// Its first turn, from 1.
    first: usize,
    /// Processor time of the server for each turn.
    used: Duration,
    /// Whether L1 was full in it, for the first time.
    fills: bool,
}

pub(super) fn measure(place: &Place) -> Result<String> {
    let site = Site::make(place, "growth", 0)?;
    site.talks(&format!("default: {{ text: '{}' }}\n", "y".repeat(MESSAGE)))?;
    site.start()?.stop()?;
    let empty = site.stored_bytes()?;
    let server = site.start()?;
    let windows = runtime()?.block_on(grow(place, &server))?;
    server.stop()?;
    let full = windows.iter().find(|window| window.fills).context("L1 was never full")?;
    let last = windows.last().context("no turn was timed")?;
    let mut table = Table::new(["turns", "L1", "server CPU a turn", "against full"]);
    for window in &windows {
        let is_shown =
            window.first == 1 || window.fills || window.first % 250 == 1 || window.first == last.first;
        if !is_shown {
            continue;
        }
        let l1 = if window.first < full.first { "fills" } else { "full" };
        table.row([
            format!("{} to {}", window.first, window.first + WINDOW - 1),
            l1.to_owned(),
            millis(window.used),
            format!("{:.2}", window.used.as_secs_f64() / full.used.as_secs_f64()),
        ]);
    }
    let turns = u64::try_from(SESSIONS * TURNS)?;
    let content = turns * u64::try_from(2 * MESSAGE)?;
    let beyond = site.stored_bytes()?.saturating_sub(empty + content) / turns;
    Ok(format!(
        "{table}\nStored for each turn beyond the {} bytes of its two messages: {beyond} bytes.\n",
        2 * MESSAGE
    ))
}

async fn grow(place: &Place, server: &Server) -> Result<Vec<Window>> {
    let mut growing = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let client = Client::connect(&place.api, server.grpc_port()).await?;
        growing.push((client, String::new()));
    }
    let mut windows: Vec<Window> = Vec::new();
    let mut was_full = false;
    for window in 0..TURNS / WINDOW {
        let before = server.exact_processor_time()?;
        let mut asking = tokio::task::JoinSet::new();
        for (client, session) in growing.drain(..) {
            asking.spawn(ask(client, session));
        }
        let mut full = false;
        while let Some(asked) = asking.join_next().await {
            let (client, session, dropped) = asked??;
            full |= dropped;
            growing.push((client, session));
        }
        let used = server.exact_processor_time()?.saturating_sub(before);
        let used = used / u32::try_from(SESSIONS * WINDOW)?;
        windows.push(Window { first: window * WINDOW + 1, used, fills: full && !was_full });
        was_full |= full;
    }
    Ok(windows)
}

/// Asks the turns of one window; returns whether messages were left out of the context of the last one.
async fn ask(mut client: Client, mut session: String) -> Result<(Client, String, bool)> {
    let question = "x".repeat(MESSAGE);
    let mut dropped = false;
    for _ in 0..WINDOW {
        let answer = client.weave(&question, &session).await?;
        session = client.method().text(&answer, "session_id")?;
        dropped = client.method().number(&answer, &["context_state", "messages_dropped"])? > 0;
    }
    Ok((client, session, dropped))
}
