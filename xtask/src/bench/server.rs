//! A server process: started, asked whether it is ready, watched from outside, stopped.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A server that is not ready by then never will be.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A server that has not stopped by then is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries of a port nobody listens on: a tenth of the least figure that is reported.
const RETRY: Duration = Duration::from_micros(100);
/// Linux counts processor time for user space in hundredths of a second, whatever its own tick is.
const TICKS_A_SECOND: u64 = 100;

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) grpc: u16,
    pub(super) http: u16,
}

impl Ports {
    /// Two that are free now.
    pub(super) fn free() -> Result<Self> {
        let (grpc, http) =
            (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        Ok(Self { grpc: grpc.local_addr()?.port(), http: http.local_addr()?.port() })
    }
}

/// A running server, killed with this handle unless stopped before.
pub(super) struct Server {
    child: Child,
    ports: Ports,
    ready_path: &'static str,
    /// From before the process was made to its first answer that said that it is ready.
    pub(super) start_time: Duration,
}

impl Server {
    /// Starts `looms` with the configuration `config` and returns as soon as it is ready. Its log goes to `log`.
    pub(super) fn start(looms: &Path, config: &Path, log: &Path, ports: Ports) -> Result<Self> {
        let mut command = Command::new(looms);
        command.arg("serve").arg("--config").arg(config);
        Self::run(command, log, ports, "/readyz")
    }

    /// Starts the bench server with these arguments beside its ports and returns as soon as it answers.
    pub(super) fn start_bench(program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let ports = Ports::free()?;
        let mut command = Command::new(program);
        command.args(["--port", &ports.grpc.to_string(), "--http-port", &ports.http.to_string()]);
        command.args(arguments);
        Self::run(command, log, ports, "/health")
    }

    fn run(mut command: Command, log: &Path, ports: Ports, ready_path: &'static str) -> Result<Self> {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOOM")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        let begun = Instant::now();
        let child = command.spawn().context("cannot start the server")?;
        let mut server = Self { child, ports, ready_path, start_time: Duration::ZERO };
        while !server.is_ready()? {
            if server.child.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                bail!("the server does not get ready: {}", log.trim());
            }
            sleep(RETRY);
        }
        server.start_time = begun.elapsed();
        Ok(server)
    }

    /// Whether it says that it is ready. Nobody listening is no.
    fn is_ready(&self) -> Result<bool> {
        match self.get(self.ready_path) {
            Ok(answer) => Ok(answer.starts_with("HTTP/1.1 200")),
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) =>
            {
                Ok(false)
            }
            Err(error) => Err(error).context("cannot ask whether the server is ready"),
        }
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        self.send(&format!("GET {path}"), "")
    }

    fn send(&self, what: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.http))?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        let (host, length) = (format!("127.0.0.1:{}", self.ports.http), body.len());
        let head =
            format!("{what} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The number called `name` among what the bench server counts.
    pub(super) fn bench_metric(&self, name: &str) -> Result<u64> {
        let answer = self.get("/metrics")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        let counted: serde_json::Value = serde_json::from_str(body)?;
        counted[name].as_u64().with_context(|| format!("the bench server does not count {name}"))
    }

    /// Lets the bench server behave as `change` says.
    pub(super) fn reconfigure(&self, change: &serde_json::Value) -> Result<()> {
        let answer = self.send("POST /reconfigure", &change.to_string())?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("the bench server refuses {change}: {answer}");
        }
        Ok(())
    }

    /// Ends it as a power cut does.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The sum of the counts called `name` whose labels hold `label`.
    pub(super) fn metric(&self, name: &str, label: &str) -> Result<u64> {
        let text = self.get("/metrics")?;
        let counts = text.lines().filter_map(|line| {
            let (subject, count) = line.rsplit_once(' ')?;
            (subject.starts_with(name) && subject.contains(label)).then(|| count.parse::<u64>().ok())?
        });
        Ok(counts.sum())
    }

    /// Where its gRPC is.
    pub(super) const fn grpc_port(&self) -> u16 {
        self.ports.grpc
    }

    /// Memory it has in use, in KiB.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Processor time it has used.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.child.id().to_string())
    }

    /// Processor time of the threads it has now, to the nanosecond. Of threads that ended it knows nothing.
    pub(super) fn exact_processor_time(&self) -> Result<Duration> {
        let mut nanos = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that ended meanwhile is not there any more.
            let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += stat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Asks it to stop and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        // The shell's own kill: not every machine has one as a program.
        let mut command = Command::new("sh");
        command.args(["-c", "kill -TERM \"$0\""]).arg(self.child.id().to_string());
        crate::workspace::run(&mut command)?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_LIMIT {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server ended with {status}"),
                None => sleep(RETRY),
            }
        }
        bail!("the server does not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of `process`, a number or `self`, in user space and in the kernel.
pub(super) fn processor_time(process: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = ticks(&stat).context("cannot read the processor time")?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND))
}

/// `utime` and `stime`, the 14th and 15th field; the second, a name in parentheses, may hold blanks.
pub(super) fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}
