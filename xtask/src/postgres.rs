//! A throwaway PostgreSQL from the binaries installed on this machine.
//!
//! It never touches a server that runs already, and leaves nothing behind: dropping the handle stops and removes it.

mod account;
mod binaries;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use account::Account;
pub(crate) use binaries::find;

/// Sockets have paths of about 100 bytes at most, so the folder is in the shortest place there is.
const SHORT_PLACE: &str = "/tmp";

/// Another process may take the port between our asking for it and the server's binding it.
const ATTEMPTS: u32 = 3;

/// A server that is not up by then never will be.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How often the server's state file is read while it starts.
const POLL: Duration = Duration::from_millis(20);

/// A running server, gone with this handle. The fields are in the order in which they go.
pub(crate) struct Throwaway {
    server: Server,
    _folder: TempDir,
}

impl Throwaway {
    /// Makes a cluster with the binaries in `bin` and starts it on a free port of the loopback interface.
    pub(crate) fn start(bin: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("loom-pg-").tempdir_in(SHORT_PLACE)?;
        let account = Account::for_owner_of(folder.path())?;
        account.give(folder.path())?;
        let place = Place { bin: bin.to_path_buf(), folder: folder.path().to_path_buf(), account };
        place.init()?;
        let mut started = place.launch();
        for _ in 1..ATTEMPTS {
            started = started.or_else(|_| place.launch());
        }
        Ok(Self { server: started?, _folder: folder })
    }

    /// Kills the server without a last checkpoint, leaves it dead for `pause`, and starts it again at the same address: it
    /// recovers from its log.
    pub(crate) fn crash(&mut self, pause: Duration) -> Result<()> {
        let (place, port) = (self.server.place.clone(), self.server.port);
        self.server.stop();
        sleep(pause);
        // It may have died too fast to take its state file away, which then says that it is ready.
        let _ = std::fs::remove_file(place.folder.join("data/postmaster.pid"));
        let mut started = place.launch_at(port);
        for _ in 1..ATTEMPTS {
            started = started.or_else(|_| place.launch_at(port));
        }
        self.server = started?;
        Ok(())
    }

    /// The address of its maintenance database, with the rights of a superuser.
    pub(crate) fn url(&self) -> String {
        format!("postgres://loom@127.0.0.1:{}/postgres", self.server.port)
    }
}

/// Where a cluster lies and who runs it.
#[derive(Clone)]
struct Place {
    bin: PathBuf,
    folder: PathBuf,
    account: Account,
}

impl Place {
    /// A command of PostgreSQL's, in the cluster's folder, with nothing of our environment that would steer it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.folder).stdin(Stdio::null()).env("LC_ALL", "C").env_remove("TZ");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        self.account.drop_to(&mut command);
        command
    }

    fn init(&self) -> Result<()> {
        let arguments = ["-D", "data", "-U", "loom", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
        let made = self.command("initdb").args(arguments).output().context("cannot start initdb")?;
        if made.status.success() {
            return Ok(());
        }
        bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim())
    }

    fn launch(&self) -> Result<Server> {
        self.launch_at(free_port()?)
    }

    fn launch_at(&self, port: u16) -> Result<Server> {
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-p", &port.to_string()]).arg("-k").arg(&self.folder);
        // Nothing is worth keeping, so nothing waits for the disk. Test binaries run in parallel, each with a pool.
        for setting in
            ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=400"]
        {
            command.args(["-c", setting]);
        }
        // Its own process group: Ctrl-C is ours to handle.
        command.process_group(0).stdout(Stdio::null()).stderr(File::create(self.folder.join("log"))?);
        let child = command.spawn().context("cannot start postgres")?;
        let mut server = Server { child, port, place: self.clone(), is_stopped: false };
        let begun = Instant::now();
        while !self.is_ready() {
            if server.child.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("PostgreSQL does not get ready: {}", log.trim());
            }
            sleep(POLL);
        }
        Ok(server)
    }

    /// Whether the server wrote into its state file that it takes connections.
    fn is_ready(&self) -> bool {
        // The eighth line of postmaster.pid is the state (PostgreSQL 10 and later).
        let state = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }
}

/// A port that nobody listens on, and that is not among those which the system gives to outgoing connections: one of them
/// would take it while the server is dead.
fn free_port() -> Result<u16> {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000)?;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..32_000).find(is_free).context("no port is free")
}

/// The server's process, stopped on drop.
struct Server {
    child: Child,
    port: u16,
    place: Place,
    /// Then what runs in its place is another.
    is_stopped: bool,
}

impl Server {
    /// Stops it at once.
    fn stop(&mut self) {
        if std::mem::replace(&mut self.is_stopped, true) {
            return;
        }
        // `immediate` skips the last checkpoint: the data are thrown away. A kill would leave shared memory behind.
        let stop = ["stop", "-D", "data", "-m", "immediate", "-s"];
        let stopped = self.place.command("pg_ctl").args(stop).output();
        if !stopped.is_ok_and(|stopped| stopped.status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
