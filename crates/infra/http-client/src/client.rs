//! Opens connections and sends requests.

use std::sync::Arc;
use std::time::Duration;

use loom_base::Clock;
use reqwest::redirect;

use crate::pace::Pace;
use crate::{Error, Request, Response};

/// How long to wait and how much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, and between two pieces of its body.
    pub silence: Duration,
    /// The whole body of an answer, in bytes.
    pub body: usize,
    /// One event of a stream, in bytes.
    pub event: usize,
}

impl Default for Limits {
    /// For model providers: a local server may load a model for minutes before its first word.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_mins(5),
            body: 64 * 1024 * 1024,
            event: 8 * 1024 * 1024,
        }
    }
}

/// Sends requests over pooled connections. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Client {
    /// A client that trusts the public certificate authorities compiled into it, and takes its time from `clock`.
    ///
    /// Only the time to connect is measured by tokio's own timer, because reqwest keeps it.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(limits.connect)
            .user_agent(concat!("loom/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::setup(&error))?;
        Ok(Self { http, clock, limits })
    }

    /// Sends `request` and waits for the head of the answer. Dropping the returned future, or later the answer, closes
    /// the connection.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let Request { url, host, headers, body, deadline } = request;
        let pace = Pace { clock: Arc::clone(&self.clock), host, silence: self.limits.silence, deadline };
        let sent = pace.bound(self.http.post(url).headers(headers).body(body).send()).await?;
        let answer = sent.map_err(|error| Error::exchange(&pace.host, &error))?;
        Ok(Response::new(answer, pace, self.limits))
    }
}

/// The ring provider is named here, so that no process-wide default is needed.
fn tls() -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::setup(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
