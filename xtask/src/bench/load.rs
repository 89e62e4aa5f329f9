//! Those who ask: each on a connection of its own, its next question when it has its answer.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;

use super::grpc::{Connection, Method};
use super::site::{ANSWER, QUESTION};

/// Turns of a session before its client begins another.
const TURNS_A_SESSION: usize = 10;

/// One thread: the load shall take no more than it must.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One who asks.
pub(super) struct Client {
    connection: Connection,
    method: Method,
    agent: String,
}

impl Client {
    pub(super) async fn connect(api: &Path, port: u16) -> Result<Self> {
        let method = Method::read(api, "Weave")?;
        Ok(Self { connection: Connection::open(port).await?, method, agent: String::new() })
    }

    /// Asks this agent, and not the default one.
    pub(super) fn of_agent(self, agent: &str) -> Self {
        Self { agent: agent.to_owned(), ..self }
    }

    /// Asks the usual question in `session`, or in a new one when that is empty, and returns the session's id.
    pub(super) async fn ask(&mut self, session: &str) -> Result<String> {
        let answer = self.weave(QUESTION, session).await?;
        let text = self.method.text(&answer, "text")?;
        if text != ANSWER {
            bail!("a turn answered {text:?}");
        }
        self.method.text(&answer, "session_id")
    }

    /// Asks anything, and returns the response as it came.
    pub(super) async fn weave(&mut self, query: &str, session: &str) -> Result<Bytes> {
        let fields = [("query", query), ("session_id", session), ("agent_id", &self.agent)];
        self.connection.call(&self.method, self.method.request(&fields)?).await
    }

    /// The RPC that it calls.
    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// Asks until `end`; returns when each answer came and how long it took.
    pub(super) async fn ask_until(mut self, end: Instant) -> Result<Vec<(Instant, Duration)>> {
        let mut answered = Vec::new();
        let mut session = String::new();
        while Instant::now() < end {
            if answered.len() % TURNS_A_SESSION == 0 {
                session.clear();
            }
            let asked = Instant::now();
            session = self.ask(&session).await?;
            let now = Instant::now();
            answered.push((now, now.duration_since(asked)));
        }
        Ok(answered)
    }
}
