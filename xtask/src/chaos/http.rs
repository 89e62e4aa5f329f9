//! HTTP as a stranger speaks it: one request a connection, JSON, and Server-Sent Events.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request that has no answer by then has none: the server that was asked is gone, or hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Ask {
    /// Asks for what is at `path`.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    /// Sends `body` to `path`.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: Some(body) }
    }

    /// The same with a header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it to the server at `port` and reads the whole answer. An error is a connection that was lost.
    pub(super) async fn send(self, port: u16) -> Result<Answer> {
        let exchange = async {
            let response = self.start(port).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
        };
        tokio::time::timeout(PATIENCE, exchange).await.context("no answer")?
    }

    /// Sends it and reads events as they come; a refusal is read whole.
    pub(super) async fn stream(self, port: u16) -> Result<std::result::Result<Events, Answer>> {
        let response = tokio::time::timeout(PATIENCE, self.start(port)).await.context("no answer")??;
        let status = response.status().as_u16();
        let body = response.into_body();
        if status == 200 {
            return Ok(Ok(Events { body, buffer: Vec::new() }));
        }
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.context("no answer")??.to_bytes();
        Ok(Err(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }))
    }

    async fn start(self, port: u16) -> Result<Response<Incoming>> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the response, or with the server.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("host", format!("127.0.0.1:{port}"))
            .header("content-type", "application/json");
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = self.body.map(|body| body.to_string()).unwrap_or_default();
        Ok(sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?)
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The JSON of a success.
    pub(super) fn ok(self) -> Result<Value> {
        if self.status == 200 {
            return Ok(self.body);
        }
        bail!("{}: {}", self.status, self.body)
    }

    /// The code of a problem.
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// An event stream that is being read.
pub(super) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    /// The data of the next event; `None` at the end. An error is a connection that was lost.
    pub(super) async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let block = String::from_utf8(block)?;
                let data = block.lines().filter_map(|line| line.strip_prefix("data:"));
                let data = data.map(str::trim_start).collect::<Vec<_>>().join("\n");
                if !data.is_empty() {
                    return Ok(Some(serde_json::from_str(&data)?));
                }
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
