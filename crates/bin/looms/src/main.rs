//! The `looms` binary: reads the command line and the environment, and runs one command to its end.
//!
//! It decides nothing: commands that ask a server are in `loom-cli`, what a server is made of is in `loom-embed`.

mod backend;
#[cfg(feature = "failpoints")]
mod chaos;
mod config;
mod db;
mod environment;
mod failure;
mod logging;
mod patterns;
mod quickstart;
mod serve;

use std::io::{BufReader, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use loom_cli::{Cli, Exit, Format, Input, Interrupts, Io, LocalCommand, Style, Target, Task};
use loom_embed::base::ErrorCode;
use loom_embed::{SystemClock, SystemIds};

use crate::environment::Process;
use crate::failure::Failure;

fn main() -> ExitCode {
    let process = Process::read();
    let cli = Cli::parse();
    let format = cli.connection.format();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(cli, &process));
            // A terminal that is still being read does not hold the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::from(error)),
    };
    outcome.map_or_else(|failure| failure.report(format), |()| Exit::Ok).into()
}

async fn run(cli: Cli, process: &Process) -> Result<(), Failure> {
    let target =
        Target { server: cli.connection.server(process.get("LOOM_SERVER")), format: cli.connection.format() };
    let mut out = std::io::stdout();
    let terminal = out.is_terminal() && std::io::stdin().is_terminal();
    let mut io = Io {
        style: if out.is_terminal() && process.get("NO_COLOR").is_none() {
            Style::Terminal
        } else {
            Style::Plain
        },
        out: &mut out,
        input: if !terminal {
            Input::Lines(Box::new(BufReader::new(std::io::stdin())))
        } else if process.get("TERM") == Some("dumb") {
            Input::Person(Box::new(BufReader::new(std::io::stdin())))
        } else {
            Input::Terminal
        },
        clock: Arc::new(SystemClock),
        ids: &SystemIds,
        interrupts: Interrupts::default(),
    };
    match cli.into_task() {
        Task::Server(command) => {
            raise_on_ctrl_c(io.interrupts.clone());
            Ok(loom_cli::run(command, &target, &mut io).await?)
        }
        Task::Local(LocalCommand::Serve(_) | LocalCommand::Quickstart(_))
            if target.format == Format::Json =>
        {
            Err(Failure::new(ErrorCode::InvalidArgument, "--json is for commands that print one answer"))
        }
        Task::Local(LocalCommand::Serve(args)) => serve::run(&args, process).await,
        Task::Local(LocalCommand::Quickstart(args)) => {
            raise_on_ctrl_c(io.interrupts.clone());
            quickstart::run(&args, process, &mut io).await
        }
        Task::Local(LocalCommand::Config(args)) => config::run(&args, process, target.format, io.out),
        Task::Local(LocalCommand::Pattern(command)) => patterns::run(&command, target.format, io.out),
        Task::Local(LocalCommand::Backend(command)) => {
            backend::run(command, process, target.format, io.out).await
        }
        Task::Local(LocalCommand::Db(args)) => db::run(args, process, target.format, &mut io).await,
    }
}

/// Ctrl-C interrupts what a command waits for, and not the process.
fn raise_on_ctrl_c(interrupts: Interrupts) {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            interrupts.raise();
        }
    });
}
