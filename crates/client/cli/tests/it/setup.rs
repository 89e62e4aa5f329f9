//! A command's surroundings, and what it wrote.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use loom_cli::{Cli, Error, Input, Interrupts, Io, Style, Target, Task, run};
use loom_grpc::{CONNECT_TIMEOUT, Client};
use loom_testkit::{CountingIds, ManualClock};
use tokio::sync::watch;

use crate::server::Running;

/// What was written, for others to read while more is written.
#[derive(Clone)]
pub(crate) struct Written {
    text: Arc<Mutex<Vec<u8>>>,
    grown: watch::Sender<()>,
}

impl Written {
    pub(crate) fn new() -> Self {
        Self { text: Arc::default(), grown: watch::Sender::new(()) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// Waits until `part` was written.
    pub(crate) async fn until(&self, part: &str) {
        let mut grown = self.grown.subscribe();
        while !self.text().contains(part) {
            grown.changed().await.unwrap();
        }
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap().extend_from_slice(bytes);
        self.grown.send_replace(());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn connect(server: &Running) -> Client {
    let clock = Arc::new(ManualClock::default());
    Client::connect(&server.endpoint(), CONNECT_TIMEOUT, clock).await.unwrap()
}

/// Calls `work` with surroundings that end in `written`.
pub(crate) async fn with_io<T>(
    written: &Written,
    input: Input,
    interrupts: &Interrupts,
    work: impl AsyncFnOnce(&mut Io<'_>) -> T,
) -> T {
    let ids = CountingIds::default();
    let mut out = written.clone();
    let mut io = Io {
        out: &mut out,
        style: Style::Plain,
        input,
        clock: Arc::new(ManualClock::default()),
        ids: &ids,
        interrupts: interrupts.clone(),
    };
    work(&mut io).await
}

/// Runs a command line against `server` and returns what it wrote and how it ended.
pub(crate) async fn looms(server: &Running, line: &str, input: &'static str) -> (String, Result<(), Error>) {
    looms_at(&server.endpoint(), line, input).await
}

pub(crate) async fn looms_at(server: &str, line: &str, input: &'static str) -> (String, Result<(), Error>) {
    let cli = Cli::try_parse_from(std::iter::once("looms").chain(line.split(' '))).unwrap();
    let target = Target { server: cli.connection.server(Some(server)), format: cli.connection.format() };
    let Task::Server(command) = cli.into_task() else { unreachable!("{line} needs no server") };
    let written = Written::new();
    let input = Input::Lines(Box::new(io::Cursor::new(input)));
    let ended =
        with_io(&written, input, &Interrupts::default(), async |io| run(command, &target, io).await).await;
    (written.text(), ended)
}
