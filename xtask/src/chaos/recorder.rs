//! The outside world: a process of its own in which effects happen, and which survives every kill of the server.
//!
//! A line comes in over TCP, is on disk, and is acknowledged, in this order. An effect id that it has seen is acknowledged
//! again without another effect, as a downstream with idempotency keys does.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) effect: String,
    pub(super) class: String,
    pub(super) key: String,
}

impl Recorded {
    fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(value[name].as_str()?.to_owned());
        Some(Self { effect: text("effect")?, class: text("class")?, key: text("key")? })
    }

    /// The turn that called.
    pub(super) fn turn(&self) -> &str {
        self.effect.split('.').next().unwrap_or_default()
    }
}

/// A recorder that runs; it ends with this.
pub(super) struct Recorder {
    child: Child,
    file: PathBuf,
    pub(super) address: SocketAddr,
}

impl Recorder {
    /// Starts this program again as a recorder that writes to `file`.
    pub(super) fn start(file: PathBuf) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("chaos-recorder").arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the recorder")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the recorder has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the recorder does not say where it is")?;
        Ok(Self { child, file, address })
    }

    /// All that came in so far, in order.
    pub(super) fn recorded(&self) -> Result<Vec<Recorded>> {
        let text = std::fs::read_to_string(&self.file)?;
        text.lines().map(|line| Recorded::parse(line).context("a line of the recorder is broken")).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Records to `file` until standard input ends: with whoever started it.
pub(crate) fn serve(file: &Path) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    let book = Arc::new(Mutex::new(Book { file: File::create(file)?, seen: HashSet::new() }));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let book = Arc::clone(&book);
            // Whoever called may be dead by now; what it sent has happened all the same.
            std::thread::spawn(move || drop(take(&connection, &book)));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

struct Book {
    file: File,
    seen: HashSet<String>,
}

fn take(mut connection: &TcpStream, book: &Mutex<Book>) -> Result<()> {
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    // Half a line is a call that never came through.
    let call = Recorded::parse(&line).filter(|_| line.ends_with('\n')).context("not a call")?;
    let is_new = {
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        book.file.write_all(line.as_bytes())?;
        book.file.sync_data()?;
        book.seen.insert(call.effect)
    };
    let said = if is_new { "recorded\n" } else { "recorded before\n" };
    connection.write_all(said.as_bytes())?;
    Ok(())
}
