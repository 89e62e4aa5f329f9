//! Measures the release binary from outside, as a user meets it, and prints one table each.
//!
//! It asserts no times and is no part of the tests: the figures go to `docs/benchmarks.md` when asked for.

mod allocations;
mod growth;
mod grpc;
mod load;
mod page;
mod reload;
mod sample;
mod server;
mod sessions;
mod site;
mod startup;
mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;
use clap::Subcommand;

use crate::workspace::{cargo, run as run_command};

/// The package and binary that is measured.
const LOOMS: &str = "looms";
/// The one that is measured where the product cannot be: it counts allocations, and lets its model be set.
const BENCH_SERVER: &str = "bench-server";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Subject {
    /// From starting the process to its being ready
    Startup,
    /// From saving a pattern file to its being served
    Reload,
    /// Durable tool turns: how many a second, how long each, at what cost
    Turns,
    /// What a turn allocates
    Allocations,
    /// Whether the thousandth turn of a session costs what an early one does, and what a turn stores
    Growth,
    /// Memory of idle servers and sessions, ten agents, and a start with many turns that a kill cut off
    Sessions,
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Reload => "reload",
            Self::Turns => "turns",
            Self::Allocations => "allocations",
            Self::Growth => "growth",
            Self::Sessions => "sessions",
        }
    }
}

/// Where the figures go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figures {
    /// The terminal only.
    Print,
    /// The page too.
    Write,
}

/// Builds `looms`, measures `subject` and prints the table.
pub(crate) fn run(root: &Path, subject: Subject, figures: Figures) -> Result<()> {
    if cfg!(debug_assertions) {
        return run_optimised(root, subject, figures);
    }
    let place = Place::prepare(root)?;
    let conditions = page::conditions(&place.scratch)?;
    let table = match subject {
        Subject::Startup => startup::measure(&place)?,
        Subject::Reload => reload::measure(&place)?,
        Subject::Turns => turns::measure(&place)?,
        Subject::Allocations => allocations::measure(&place)?,
        Subject::Growth => growth::measure(&place)?,
        Subject::Sessions => sessions::measure(&place)?,
    };
    let section = format!("{table}\n{conditions}\n");
    println!("{section}");
    match figures {
        Figures::Print => Ok(()),
        Figures::Write => page::write(root, subject.name(), &section),
    }
}

/// Runs this tool's own release build: an unoptimised load generator would take the processor from the server.
fn run_optimised(root: &Path, subject: Subject, figures: Figures) -> Result<()> {
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench", subject.name()]);
    if figures == Figures::Write {
        command.arg("--write");
    }
    run_command(&mut command)
}

/// What the measurements work with.
struct Place {
    /// The binary, out of reach of the next build.
    looms: PathBuf,
    /// The bench server, as well.
    bench_server: PathBuf,
    /// Patterns to make more of.
    patterns: PathBuf,
    /// The API's descriptor set.
    api: PathBuf,
    /// A folder on the build's disk, gone with this.
    scratch: tempfile::TempDir,
}

impl Place {
    fn prepare(root: &Path) -> Result<Self> {
        // Apart: built together, they would share features, and the product would not be measured as it is.
        for package in [LOOMS, BENCH_SERVER] {
            run_command(cargo(root).args(["build", "--release", "--package", package]))?;
        }
        let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
        let target = metadata.target_directory.as_std_path();
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        let taken = |name: &str| -> Result<PathBuf> {
            let (built, taken) = (target.join("release").join(name), scratch.path().join(name));
            std::fs::copy(&built, &taken).with_context(|| format!("cannot copy {}", built.display()))?;
            Ok(taken)
        };
        Ok(Self {
            looms: taken(LOOMS)?,
            bench_server: taken(BENCH_SERVER)?,
            patterns: root.join("patterns"),
            api: root.join("crates/server/proto/src/gen/loom.v1.binpb"),
            scratch,
        })
    }
}
