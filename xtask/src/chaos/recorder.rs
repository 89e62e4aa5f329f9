//! The outside world: a process of its own in which effects happen, and which survives every kill of the server.
//!
//! A line comes in over TCP, is on disk, and is acknowledged, in this order. An effect id that it has seen is acknowledged
//! again without another effect, as a downstream with idempotency keys does. Webhooks come in over HTTP at the same port.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

impl Book {
    /// Puts a call on disk; whether its effect is new.
    fn enter(&mut self, call: Recorded, line: &str) -> Result<bool> {
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        Ok(self.seen.insert(call.effect))
    }
}

fn take(mut connection: &TcpStream, book: &Mutex<Book>) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(connection);
    reader.read_line(&mut line)?;
    let request = line.strip_prefix("POST /").and_then(|rest| rest.split(' ').next());
    let (line, said) = match request {
        Some(class) => (hook(class, &mut reader)?, None),
        None => (line.clone(), Some(["recorded before\n", "recorded\n"])),
    };
    // Half a line is a call that never came through.
    let call = Recorded::parse(&line).filter(|_| line.ends_with('\n')).context("not a call")?;
    let is_new = book.lock().unwrap_or_else(PoisonError::into_inner).enter(call, &line)?;
    if let Some(said) = said {
        connection.write_all(said[usize::from(is_new)].as_bytes())?;
    } else {
        // Between the effect and its answer: that is when a kill hurts.
        std::thread::sleep(Duration::from_millis(line.len() as u64 * 7 % 40));
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    }
    Ok(())
}

/// The line that a webhook is recorded by: its class is the path, its key the point with the keys of the calls it is told of.
fn hook(class: &str, reader: &mut BufReader<&TcpStream>) -> Result<String> {
    let mut length = 0;
    loop {
        let mut header = String::new();
        anyhow::ensure!(reader.read_line(&mut header)? > 0, "half a request");
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body)?;
    let told = &body["data"];
    let calls = told["calls"].as_array().into_iter().flatten();
    let keys: Vec<_> = calls.filter_map(|call| call["arguments"]["key"].as_str()).collect();
    let key = format!("{}:{}", told["point"].as_str().unwrap_or_default(), keys.join(","));
    let line = serde_json::json!({ "effect": told["effect"], "class": class, "key": key });
    Ok(format!("{line}\n"))
}
