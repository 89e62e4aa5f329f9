//! From saving a pattern file to `GetPattern` answering with what was saved.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Place;
use super::grpc::{Connection, Method};
use super::sample::{Sample, millis};
use super::site::{Site, described, pattern_name};
use super::table::Table;

/// Edits of each kind.
const EDITS: usize = 200;
/// Pattern files beside the built-in ones.
const PATTERNS: usize = 60;
/// An edit that is not served by then never will be.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two edits: longer than the watcher waits for a save to be complete, so that each is one of its own.
const PAUSE: Duration = Duration::from_millis(25);

/// How an editor saves.
#[derive(Clone, Copy)]
enum Save {
    /// Opens the file, writes and closes it.
    InPlace,
    /// Writes another file and renames it over the first.
    Rename,
}

pub(super) fn measure(place: &Place) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let site = Site::make(place, "reload", PATTERNS)?;
    let server = site.start()?;
    let method = Method::read(&place.api, "GetPattern")?;
    let mut table = Table::new(["save", "edits", "p50", "p90", "p99", "max", "one poll, p50"]);
    let saves =
        [("written in place and closed", Save::InPlace), ("written beside and renamed", Save::Rename)];
    for (name, save) in saves {
        let watched = Watched::new(&site, &method)?;
        let (served, polls) = runtime.block_on(watched.edits(save, server.grpc_port()))?;
        table.row([
            name.to_owned(),
            served.count().to_string(),
            millis(served.percentile(50)),
            millis(served.percentile(90)),
            millis(served.percentile(99)),
            millis(served.percentile(100)),
            millis(polls.percentile(50)),
        ]);
    }
    // With it goes the connection: the server would wait for a client that no longer reads.
    drop(runtime);
    server.stop()?;
    Ok(table.to_string())
}

/// The file that is edited and what asks for it.
struct Watched<'a> {
    file: std::path::PathBuf,
    text: String,
    request: bytes::Bytes,
    method: &'a Method,
}

impl<'a> Watched<'a> {
    fn new(site: &Site<'_>, method: &'a Method) -> Result<Self> {
        let name = pattern_name(PATTERNS / 2);
        let file = site.pattern_file(&name);
        let text = std::fs::read_to_string(&file)?;
        Ok(Self { file, text, request: method.request(&[("name", &name)])?, method })
    }

    /// Edits the file again and again; returns how long each edit took to be served, and how long a poll takes.
    async fn edits(&self, save: Save, port: u16) -> Result<(Sample, Sample)> {
        let mut connection = Connection::open(port).await?;
        let (mut served, mut polls) = (Vec::with_capacity(EDITS), Vec::new());
        for edit in 0..EDITS {
            let description = format!("Edit {edit}, {}.", save.name());
            let text = described(&self.text, &description).context("a pattern without a description")?;
            let begun = Instant::now();
            save.apply(&self.file, &text)?;
            loop {
                let asked = Instant::now();
                let answer = connection.call(self.method, self.request.clone()).await?;
                polls.push(asked.elapsed());
                if self.method.text(&answer, "description")? == description {
                    break;
                }
                if begun.elapsed() > LIMIT {
                    bail!("edit {edit} is not served");
                }
            }
            served.push(begun.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        Ok((Sample::of(served).context("no edits")?, Sample::of(polls).context("no polls")?))
    }
}

impl Save {
    const fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in place",
            Self::Rename => "renamed",
        }
    }

    fn apply(self, file: &Path, text: &str) -> std::io::Result<()> {
        match self {
            Self::InPlace => std::fs::write(file, text),
            Self::Rename => {
                let beside = file.with_extension("tmp");
                std::fs::write(&beside, text)?;
                std::fs::rename(&beside, file)
            }
        }
    }
}
