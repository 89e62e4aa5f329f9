//! Keeps the house in order: checks its layers, regenerates what is generated, and runs every test there is.
//!
//! It never ships: no crate of Loom depends on it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for the terminal, and its own composition root: it prints, reads the clock and the environment"
)]

mod bench;
mod buf;
mod chaos;
mod ci;
mod r#gen;
mod layers;
mod postgres;
mod proto_breaking;
mod suites;
mod tidy;
mod tools;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the Loom workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check that no crate depends on one above or beside its layer, and that dependencies stay with their owners
    Layers,
    /// Check the style rules that no other tool checks
    Tidy,
    /// Regenerate what is generated and checked in
    Gen {
        /// Change nothing; fail when something is stale
        #[arg(long)]
        check: bool,
    },
    /// Compare the API with its baseline and fail on a change that breaks clients
    ProtoBreaking {
        /// Make the present API the baseline
        #[arg(long)]
        bless: bool,
    },
    /// Ask buf whether the API's protos are well made and break no client
    Buf,
    /// Run every test this machine can run, and say which it could not
    Test {
        /// Fail when a suite has to be skipped
        #[arg(long)]
        require_all: bool,
        /// Passed on to nextest, or to `cargo test`
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Run everything that must pass before a change lands
    Ci {
        /// Fail when a step has to be skipped
        #[arg(long)]
        require_all: bool,
    },
    /// Kill the server again and again under load, and check that nothing is lost and nothing happens twice
    Chaos(chaos::Options),
    /// Record effects to a file, for `chaos`
    #[command(hide = true)]
    ChaosRecorder {
        /// The file
        file: std::path::PathBuf,
    },
    /// Measure the release binary and print a table
    Bench {
        #[command(subcommand)]
        subject: bench::Subject,
        /// Put the table into docs/benchmarks.md too
        #[arg(long, global = true)]
        write: bool,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task, &workspace::root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, root: &Path) -> anyhow::Result<()> {
    match task {
        Task::Layers => layers::check(root),
        Task::Tidy => tidy::check(root),
        Task::Gen { check: true } => r#gen::check(root),
        Task::Gen { check: false } => r#gen::write(root),
        Task::ProtoBreaking { bless: true } => proto_breaking::bless(root),
        Task::ProtoBreaking { bless: false } => proto_breaking::check(root),
        Task::Buf => buf::check(root),
        Task::Test { require_all, extra } => {
            let skips = if require_all { suites::Skips::Fail } else { suites::Skips::Report };
            suites::run(root, skips, &extra)
        }
        Task::Ci { require_all } => {
            let skips = if require_all { suites::Skips::Fail } else { suites::Skips::Report };
            ci::run(root, skips)
        }
        Task::Chaos(options) => chaos::run(root, &options),
        Task::ChaosRecorder { file } => chaos::record(&file),
        Task::Bench { subject, write } => {
            let figures = if write { bench::Figures::Write } else { bench::Figures::Print };
            bench::run(root, subject, figures)
        }
    }
}
