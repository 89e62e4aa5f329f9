//! The second port: what the harness sets, empties and reads.

use std::alloc::System;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use loom_access::Principal;
use loom_embed::runtime::Runtime;
use loom_store::{Page, SessionFilter};
use serde_json::{Value, json};
use stats_alloc::StatsAlloc;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::agents::Agents;
use crate::model::Model;
use crate::settings::Settings;

/// A request's body at most, in bytes.
const MOST_BYTES: usize = 65_536;
/// Sessions that are removed at the same time.
const AT_ONCE: usize = 64;
/// Sessions that are listed at once.
const PAGE: u32 = 1_000;

/// What the second port works on.
pub(crate) struct Control {
    pub(crate) model: Arc<Model>,
    pub(crate) agents: Agents,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) allocations: &'static StatsAlloc<System>,
    pub(crate) settings: Mutex<Settings>,
}

/// Listens on this machine only: whoever reaches it may empty the store.
pub(crate) async fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.with_context(|| format!("cannot listen on port {port}"))
}

/// Answers until `shutdown` fires.
pub(crate) async fn serve(listener: TcpListener, control: Arc<Control>, shutdown: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let control = Arc::clone(&control);
        let answer = service_fn(move |request| {
            let control = Arc::clone(&control);
            async move { Ok::<_, Infallible>(control.answer(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // What breaks on a connection is the other side's to notice.
        tokio::spawn(connection);
    }
}

impl Control {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = match (&method, path.as_str()) {
            (&Method::GET, "/health") => Ok(json!({ "status": "ok" })),
            (&Method::GET, "/metrics") => Ok(self.metrics()),
            (&Method::POST, "/reset") => self.reset().await,
            (&Method::POST, "/reconfigure") => self.reconfigure(request).await,
            (_, "/health" | "/metrics" | "/reset" | "/reconfigure") => {
                return response(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "another method" }));
            }
            _ => return response(StatusCode::NOT_FOUND, &json!({ "error": "no such path" })),
        };
        match answer {
            Ok(body) => response(StatusCode::OK, &body),
            Err(error) => response(StatusCode::BAD_REQUEST, &json!({ "error": format!("{error:#}") })),
        }
    }

    fn metrics(&self) -> Value {
        let mut counted = self.model.counted();
        let allocated = self.allocations.stats();
        counted["Allocations"] = (allocated.allocations + allocated.reallocations).into();
        counted["AllocatedBytes"] = allocated.bytes_allocated.into();
        counted
    }

    async fn reconfigure(&self, request: Request<Incoming>) -> Result<Value> {
        let body = Limited::new(request.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the body: {error}"))?.to_bytes();
        let change = serde_json::from_slice(&body).context("the body")?;
        let mut settings = self.settings.lock().await;
        let changed = settings.changed(&change)?;
        self.agents.set_number(&self.runtime, changed.num_agents).await?;
        self.model.reconfigure(&changed)?;
        *settings = changed;
        Ok(json!({
            "status": "reconfigured",
            "agents": changed.num_agents,
            "llm_latency_ms": u64::try_from(changed.llm_latency.as_millis())?,
            "llm_error_rate": changed.llm_error_rate,
        }))
    }

    /// Removes all sessions, and sets the counts to zero.
    async fn reset(&self) -> Result<Value> {
        let sessions = self.runtime.sessions();
        let mut removed = 0_usize;
        loop {
            let page = sessions.list(&SessionFilter::default(), Page::new(0, PAGE)).await?;
            if page.items.is_empty() {
                break;
            }
            removed += page.items.len();
            let mut removing = futures::stream::iter(page.items)
                .map(|session| async move { sessions.delete(&session.id, Principal::Local).await })
                .buffer_unordered(AT_ONCE);
            while let Some(outcome) = removing.next().await {
                outcome?;
            }
        }
        self.model.reset();
        Ok(json!({ "status": "reset", "sessions_cleared": true, "sessions": removed }))
    }
}

fn response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
