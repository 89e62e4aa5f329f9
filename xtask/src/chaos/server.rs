//! The server that dies: one process after another on the same data.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout_at};

use super::http::Ask;
use super::plan::Place;
use super::script;

/// A server that is not ready by then never will be.
const START_LIMIT: Duration = Duration::from_mins(1);
/// A server that was asked to stop and has not by then never will.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// Between two looks at a server that is not ready yet.
const LOOK: Duration = Duration::from_millis(5);

/// How long a killed server counts as alive on PostgreSQL, in seconds: the least that can be configured.
const LEASE_SECONDS: u64 = 2;

const CONFIGURATION: &str = "
data_dir: ./data
agents_dir: ./agents
backends_dir: ./backends
patterns_dir: ./patterns
observability: { provider: embedded }
server: { behavior: { shutdown_timeout_seconds: 1 } }
llm: { provider: mock }
providers: { mock: { type: mock, script: ./script.yaml } }
budgets: { server: { usd: 1000, tokens: 10000000000, per: total } }
";

/// The agents: one that may do what must not happen twice, one that has to ask, one that is told when nobody knows, one
/// that runs out of its budget, one with hooks.
pub(super) const AGENTS: [&str; 5] = ["allowed", "asking", "told", "poor", "hooked"];
const ALLOW: &str = "permissions: { classes: { unsafe: allow } }";
/// A budget that nobody comes to the end of.
const RICH: &str = "budgets: { agent: { usd: 100, tokens: 1000000000, per: total } }";
/// One that is used up in the middle of a run, and a session's that is used up before.
const POOR: &str = "llm: { max_tokens: 200 }\n  budgets: { agent: { tokens: 150000, per: total }, session: { tokens: 12000 } }";
/// What the signatures of hooks are made with.
const HOOK_SECRET: &str = "CHAOS_HOOK_SECRET";

fn agent(name: &str, recorder: SocketAddr) -> String {
    let (permissions, on_unknown) = match name {
        "asking" => ("", "wait"),
        "told" => (ALLOW, "tell"),
        _ => (ALLOW, "wait"),
    };
    let budgets = if name == "poor" { POOR } else { RICH };
    let hook = |name: &str, points: &str, effect: &str| {
        format!(
            "\n    - {{ type: webhook, name: {name}, points: [{points}], effect: {effect}, on_failure: open, \
             url: 'http://{recorder}/hook-{effect}', secret_variable: {HOOK_SECRET} }}"
        )
    };
    let hooks = match name {
        "hooked" => {
            let once = hook("once", "turn_start, after_tools", "unsafe");
            format!("hooks:{once}{}", hook("again", "after_model", "idempotent"))
        }
        _ => String::new(),
    };
    format!(
        "apiVersion: loom/v1\nkind: Agent\nmetadata: {{ name: {name} }}\nspec:\n  system_prompt: Do the job.\n  \
         config: {{ timeout_seconds: 600, on_unknown: {on_unknown}, patterns: {{ enabled: false }} }}\n  {permissions}\n  \
         {budgets}\n  {hooks}\n"
    )
}

/// Where the server keeps its data.
#[derive(Clone, Debug)]
pub(super) enum Store {
    /// In a file beside it.
    Sqlite,
    /// In the database at this address, which is empty.
    Postgres(String),
}

impl Store {
    /// How long the next server leaves alone what a killed one worked on.
    pub(super) const fn silence(&self) -> Duration {
        match self {
            Self::Sqlite => Duration::ZERO,
            Self::Postgres(_) => Duration::from_secs(LEASE_SECONDS),
        }
    }

    fn configuration(&self) -> String {
        match self {
            Self::Sqlite => CONFIGURATION.to_owned(),
            Self::Postgres(_) => {
                let storage = format!("storage: {{ backend: postgres, lease_seconds: {LEASE_SECONDS} }}\n");
                format!("{CONFIGURATION}{storage}")
            }
        }
    }
}

/// A folder with all that a server needs.
pub(super) struct Site {
    looms: PathBuf,
    folder: PathBuf,
    recorder: SocketAddr,
    store: Store,
    starts: usize,
}

impl Site {
    /// Fills `folder` for the binary `looms`, whose tools tell `recorder`.
    pub(super) fn make(
        looms: PathBuf,
        folder: PathBuf,
        recorder: SocketAddr,
        store: Store,
        seed: u64,
    ) -> Result<Self> {
        for part in ["agents", "backends", "patterns", "data", "logs"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        std::fs::write(folder.join("looms.yaml"), store.configuration())?;
        std::fs::write(folder.join("script.yaml"), script::script(seed).to_string())?;
        for name in AGENTS {
            std::fs::write(folder.join("agents").join(format!("{name}.yaml")), agent(name, recorder))?;
        }
        Ok(Self { looms, folder, recorder, store, starts: 0 })
    }

    /// Starts a server that dies at `place`, if any, and waits until it is ready; `None` when it died before.
    pub(super) async fn start(&mut self, place: Option<Place>) -> Result<Option<Server>> {
        self.starts += 1;
        let [grpc, http] = free_ports()?;
        let log = self.folder.join("logs").join(format!("{:04}.jsonl", self.starts));
        let mut command = Command::new(&self.looms);
        command.args(["serve", "--config", "looms.yaml", "--log-format", "json"]);
        command.args(["--port", &grpc.to_string(), "--http-port", &http.to_string()]);
        command.current_dir(&self.folder).env_clear().env("HOME", &self.folder);
        command.env("LOOM_RECORDER", self.recorder.to_string()).env(HOOK_SECRET, "of chaos");
        if let Store::Postgres(url) = &self.store {
            command.env("DATABASE_URL", url);
        }
        if let Some(place) = place {
            command.env("LOOM_FAILPOINT", place.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).kill_on_drop(true);
        let child = command.spawn().context("cannot start looms")?;
        let mut server = Server { child, port: http };
        if server.gets_ready().await? {
            return Ok(Some(server));
        }
        if place.is_some() {
            return Ok(None);
        }
        bail!("looms does not start: {}", last_lines(&log))
    }

    /// How many turns were taken up after a stop, by what the servers logged.
    pub(super) fn resumed(sites: &[Self]) -> Result<usize> {
        let mut turns = std::collections::BTreeSet::new();
        let folders = sites.iter().map(|site| std::fs::read_dir(site.folder.join("logs")));
        for entry in folders.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let text = std::fs::read_to_string(entry?.path())?;
            let taken_up = text.lines().filter(|line| line.contains("is taken up again"));
            turns.extend(taken_up.filter_map(|line| {
                let start = line.find("turn_")?;
                Some(line[start..].split('"').next()?.to_owned())
            }));
        }
        Ok(turns.len())
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// Two ports that nobody listened on a moment ago.
fn free_ports() -> Result<[u16; 2]> {
    let held = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    Ok([held[0].local_addr()?.port(), held[1].local_addr()?.port()])
}

/// A running server.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    /// Whether it becomes ready, and not gone.
    async fn gets_ready(&mut self) -> Result<bool> {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if Ask::get("/readyz").send(self.port).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        bail!("looms does not get ready")
    }

    /// Whether it dies by itself before `end`.
    pub(super) async fn dies_before(&mut self, end: Instant) -> bool {
        timeout_at(end, self.child.wait()).await.is_ok()
    }

    /// Sends it a signal.
    pub(super) async fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().context("the server is gone")?.to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await?;
        if sent.success() { Ok(()) } else { bail!("the server cannot be sent SIG{name}") }
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.signal("TERM").await?;
        let ended =
            tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.context("looms does not stop")??;
        if ended.success() { Ok(()) } else { bail!("looms stopped with {ended}: see its log") }
    }

    /// Kills it as a power cut would.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The turns that have not ended.
    pub(super) async fn unfinished(&self) -> Result<Vec<Value>> {
        let turns = Ask::get("/v1/turns?limit=500").send(self.port).await?.ok()?;
        Ok(turns["turns"].as_array().cloned().unwrap_or_default())
    }
}
