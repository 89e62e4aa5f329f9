//! A `looms serve` of its own for one test.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use loom_testkit::Reflected;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

use crate::home::{Home, Said};
use crate::http::Http;

/// How long a state may take to come about; no test passes or fails by it unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a state that cannot be waited for is looked at.
const LOOK: Duration = Duration::from_millis(5);
const SERVICE: &str = "loom.v1.LoomService";

/// A running server and the two ways to call it. It is killed when dropped.
pub(crate) struct Serving {
    pub(crate) home: Home,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: Http,
    child: Child,
    log: watch::Receiver<Vec<String>>,
}

impl Serving {
    /// Starts a server on `home` and waits until it is ready.
    pub(crate) async fn start(home: Home) -> Self {
        let mut home = home;
        loop {
            match Self::start_at(home, free_ports()).await {
                Ok(serving) => return serving,
                // Between looking and listening another process may have taken a port.
                Err(back) => home = back,
            }
        }
    }

    /// What a server says on `home` that ends before it serves.
    pub(crate) async fn does_not_start(home: &Home) -> Said {
        let [grpc, http] = free_ports().map(|port| port.to_string());
        home.run(["serve", "--config", "looms.yaml", "--port", &grpc, "--http-port", &http]).await
    }

    /// Kills it at once, and starts it again on the same data and ports.
    pub(crate) async fn kill_and_restart(self, meanwhile: impl FnOnce(&Home)) -> Self {
        let ports = [self.grpc.port(), self.http.address.port()];
        let home = self.kill().await;
        meanwhile(&home);
        Self::start_at(home, ports).await.unwrap_or_else(|_| panic!("its ports were taken meanwhile"))
    }

    /// Asks it to stop, and starts it again on the same data and ports.
    pub(crate) async fn restart(self) -> Self {
        let ports = [self.grpc.port(), self.http.address.port()];
        let (home, said) = self.stop().await;
        assert_eq!(said.code, 0, "{}", said.err);
        Self::start_at(home, ports).await.unwrap_or_else(|_| panic!("its ports were taken meanwhile"))
    }

    /// Gives the folder back when another process has one of the ports.
    async fn start_at(home: Home, ports: [u16; 2]) -> Result<Self, Home> {
        let [grpc, http] = ports;
        let mut child = spawn(&home, grpc, http);
        let mut log = follow(&mut child);
        let started =
            tokio::time::timeout(PATIENCE, log.wait_for(|lines| lines.iter().any(|line| is_ready(line))));
        if started.await.expect("the server is neither ready nor gone").is_ok() {
            let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
            return Ok(Self { home, grpc: at(grpc), http: Http::at(at(http)), child, log });
        }
        let lines = log.borrow().join("\n");
        assert!(lines.contains("Address already in use"), "the server did not start:\n{lines}");
        Err(home)
    }

    /// Kills it at once, as a power cut would.
    pub(crate) async fn kill(mut self) -> Home {
        self.child.kill().await.unwrap();
        self.home
    }

    /// Asks it to stop, waits for its end, and says how it ended.
    pub(crate) async fn stop(mut self) -> (Home, Said) {
        self.signal("TERM");
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it does not stop").unwrap();
        // The log is read to its end: its sender goes with the pipe.
        while self.log.changed().await.is_ok() {}
        let err = self.log.borrow().join("\n");
        (self.home, Said { code: status.code().unwrap_or(-1), out: String::new(), err })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits until a line of the log satisfies `wanted`.
    pub(crate) async fn logged(&mut self, wanted: impl Fn(&str) -> bool) {
        let found = self.log.wait_for(|lines| lines.iter().any(|line| wanted(line)));
        let found = tokio::time::timeout(PATIENCE, found).await;
        assert!(
            found.is_ok_and(|found| found.is_ok()),
            "never logged; but:\n{}",
            self.log.borrow().join("\n")
        );
    }

    /// A client that knows what reflection tells.
    pub(crate) async fn reflected(&self) -> Reflected {
        Reflected::connect(&self.grpc.to_string(), SERVICE).await.unwrap()
    }

    /// Asks a question in a new session, over HTTP, and returns the whole answer.
    pub(crate) async fn ask(&self, query: &str) -> Value {
        self.http.post("/v1/weave", json!({ "query": query })).await.ok()
    }

    /// Runs a command of the binary against this server.
    pub(crate) async fn run<const N: usize>(&self, arguments: [&str; N]) -> Said {
        let mut command = self.home.command(arguments);
        let output = command.env("LOOM_SERVER", format!("http://{}", self.grpc)).output().await.unwrap();
        Said::of(&output)
    }
}

/// Looks until `look` finds something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it never came about: {what}"))
}

fn spawn(home: &Home, grpc: u16, http: u16) -> Child {
    let (grpc, http) = (grpc.to_string(), http.to_string());
    let arguments =
        ["serve", "--config", "looms.yaml", "--port", &grpc, "--http-port", &http, "--log-format", "json"];
    home.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn follow(child: &mut Child) -> watch::Receiver<Vec<String>> {
    let (sender, log) = watch::channel(Vec::new());
    let stderr = child.stderr.take().expect("it is piped");
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|seen| seen.push(line));
        }
    });
    log
}

fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|record| record["message"] == "ready")
}

/// Two ports that nobody listened on a moment ago.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
