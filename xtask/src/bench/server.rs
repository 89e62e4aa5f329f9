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

/// A running `looms serve`, killed with this handle unless stopped before.
pub(super) struct Server {
    child: Child,
    ports: Ports,
    /// From before the process was made to its first `/readyz` that said yes.
    pub(super) start_time: Duration,
}

impl Server {
    /// Starts `looms` with the configuration `config` and returns as soon as it is ready. Its log goes to `log`.
    pub(super) fn start(looms: &Path, config: &Path, log: &Path, ports: Ports) -> Result<Self> {
        let mut command = Command::new(looms);
        command.arg("serve").arg("--config").arg(config);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOOM")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        let begun = Instant::now();
        let child = command.spawn().context("cannot start looms")?;
        let mut server = Self { child, ports, start_time: Duration::ZERO };
        while !server.is_ready()? {
            if server.child.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                bail!("looms does not get ready: {}", log.trim());
            }
            sleep(RETRY);
        }
        server.start_time = begun.elapsed();
        Ok(server)
    }

    /// Whether it says that it is ready. Nobody listening is no.
    fn is_ready(&self) -> Result<bool> {
        match self.get("/readyz") {
            Ok(answer) => Ok(answer.starts_with("HTTP/1.1 200")),
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) =>
            {
                Ok(false)
            }
            Err(error) => Err(error).context("cannot ask whether looms is ready"),
        }
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.http))?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        let host = format!("127.0.0.1:{}", self.ports.http);
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
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
                Some(status) => bail!("looms ended with {status}"),
                None => sleep(RETRY),
            }
        }
        bail!("looms does not stop")
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
