//! The page of figures, and under which conditions they came about.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::sample::{Sample, millis};

/// The page, relative to the workspace.
const PAGE: &str = "docs/benchmarks.md";

/// Enough to see what the disk does on average.
const SYNCS: usize = 50;

/// Replaces what `subject`'s markers on the page enclose.
pub(super) fn write(root: &Path, subject: &str, section: &str) -> Result<()> {
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let page = replaced(&page, subject, section)
        .with_context(|| format!("{PAGE} has no markers for {subject}, in order"))?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("written to {PAGE}");
    Ok(())
}

/// `page` with `section` between the markers of `subject`.
pub(super) fn replaced(page: &str, subject: &str, section: &str) -> Option<String> {
    let (open, close) = (format!("<!-- bench {subject} -->"), format!("<!-- end {subject} -->"));
    let (before, rest) = page.split_once(&open)?;
    let (_, after) = rest.split_once(&close)?;
    Some(format!("{before}{open}\n{section}{close}{after}"))
}

/// When and on what: to be taken before the measurement, while the load is that of others.
pub(super) fn conditions(scratch: &tempfile::TempDir) -> Result<String> {
    let date = Command::new("date").args(["-u", "+%F"]).output().context("cannot start date")?;
    let date = String::from_utf8_lossy(&date.stdout);
    let cores = std::thread::available_parallelism()?;
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let sync = sync_time(scratch.path())?;
    Ok(format!(
        "{}, {cores} cores ({processor}); load average before: {load}; a 4 KiB append and fdatasync: {} median.",
        date.trim(),
        millis(sync.percentile(50)),
    ))
}

/// How long the disk takes to keep a small write.
fn sync_time(folder: &Path) -> Result<Sample> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Sample::of(times).context("nothing was written")
}
