//! Measures the release binary from outside, as a user meets it, and prints one table each.
//!
//! It asserts no times and is no part of the tests: the figures go to `docs/benchmarks.md` when asked for.

mod grpc;
mod page;
mod reload;
mod sample;
mod server;
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

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Subject {
    /// From starting the process to its being ready
    Startup,
    /// From saving a pattern file to its being served
    Reload,
    /// Durable tool turns: how many a second, how long each, at what cost
    Turns,
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Reload => "reload",
            Self::Turns => "turns",
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
    /// Patterns to make more of.
    patterns: PathBuf,
    /// The API's descriptor set.
    api: PathBuf,
    /// A folder on the build's disk, gone with this.
    scratch: tempfile::TempDir,
}

impl Place {
    fn prepare(root: &Path) -> Result<Self> {
        run_command(cargo(root).args(["build", "--release", "--package", "looms"]))?;
        let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
        let target = metadata.target_directory.as_std_path();
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        let looms = scratch.path().join("looms");
        let built = target.join("release").join("looms");
        std::fs::copy(&built, &looms).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(Self {
            looms,
            patterns: root.join("patterns"),
            api: root.join("crates/server/proto/src/gen/loom.v1.binpb"),
            scratch,
        })
    }
}
