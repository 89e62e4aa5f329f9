//! From starting the process to its being ready, the first time and later.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Place;
use super::sample::{Sample, millis};
use super::site::Site;
use super::table::Table;
use super::turns;

/// Starts that are counted on the same data.
const STARTS: usize = 30;
/// Starts on data folders that do not exist yet.
const FIRST_STARTS: usize = 10;
/// Pattern files beside the built-in ones.
const PATTERNS: usize = 60;
/// What an earlier run left behind: sessions, and turns of each.
const SESSIONS: usize = 50;
const TURNS: usize = 10;

/// What one kind of start was seen to take.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    resident: Vec<u64>,
}

pub(super) fn measure(place: &Place) -> Result<String> {
    let mut first = Seen::default();
    for run in 0..FIRST_STARTS {
        let site = Site::make(place, &format!("first-{run}"), PATTERNS)?;
        first.start(&site)?;
    }
    let site = Site::make(place, "later", PATTERNS)?;
    let server = site.start()?;
    turns::fill(place, &server, SESSIONS, TURNS)?;
    server.stop()?;
    let mut later = Seen::default();
    for _ in 0..STARTS {
        later.start(&site)?;
    }
    let mut table = Table::new(["start", "runs", "median", "p90", "max", "resident when ready"]);
    table.row(first.row("on an empty data folder")?);
    table.row(later.row("on an existing database")?);
    Ok(table.to_string())
}

impl Seen {
    fn start(&mut self, site: &Site<'_>) -> Result<()> {
        let server = site.start()?;
        self.times.push(server.start_time);
        self.resident.push(server.resident_kib()?);
        server.stop()
    }

    fn row(mut self, name: &str) -> Result<[String; 6]> {
        let sample = Sample::of(self.times).context("nothing was started")?;
        self.resident.sort_unstable();
        let resident = self.resident[self.resident.len() / 2] / 1024;
        Ok([
            name.to_owned(),
            sample.count().to_string(),
            millis(sample.percentile(50)),
            millis(sample.percentile(90)),
            millis(sample.percentile(100)),
            format!("{resident} MiB"),
        ])
    }
}
