//! A server that stands in for a model provider.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::reply::{Answer, Body, Failure};
use crate::wire::{self, Closed, Released};
use crate::{Reply, UNKNOWN_MODEL, anthropic, gemini, openai};

/// No test sends more than this.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// The wire protocol that a fake speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Chat Completions.
    OpenAi,
    /// Ollama's Chat Completions: no key, and each tool call whole in one chunk.
    Ollama,
    /// Google's Gemini API.
    Gemini,
}

/// A request as the fake got it.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The path.
    pub path: String,
    /// The headers, names in lower case; the values of those that carry a key read `[redacted]`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Value,
}

/// A provider on a port of its own that answers from a script and remembers what it was asked. It stops when dropped.
pub struct ProviderFake {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    dialect: Dialect,
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<RecordedRequest>>,
    closed: Closed,
    released: Released,
}

impl ProviderFake {
    /// A fake of Anthropic. It gives one of `replies` to each well-formed request, in order.
    pub async fn anthropic(replies: Vec<Reply>) -> anyhow::Result<Self> {
        Self::start(Dialect::Anthropic, replies).await
    }

    /// A fake of OpenAI.
    pub async fn openai(replies: Vec<Reply>) -> anyhow::Result<Self> {
        Self::start(Dialect::OpenAi, replies).await
    }

    /// A fake of Ollama's OpenAI-compatible side.
    pub async fn ollama(replies: Vec<Reply>) -> anyhow::Result<Self> {
        Self::start(Dialect::Ollama, replies).await
    }

    /// A fake of Google's Gemini API.
    pub async fn gemini(replies: Vec<Reply>) -> anyhow::Result<Self> {
        Self::start(Dialect::Gemini, replies).await
    }

    /// A fake of `dialect`.
    pub async fn start(dialect: Dialect, replies: Vec<Reply>) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            dialect,
            replies: Mutex::new(replies.into()),
            requests: Mutex::default(),
            closed: watch::Sender::new(0),
            released: watch::Sender::new(false),
        });
        let app = Router::new()
            .fallback(serve)
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It runs until the task is aborted; an accept error would show as a refused connection.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// The address to configure a provider with.
    pub fn base_url(&self) -> String {
        match self.shared.dialect {
            Dialect::Anthropic => format!("http://{}", self.address),
            Dialect::OpenAi | Dialect::Ollama => format!("http://{}/v1", self.address),
            Dialect::Gemini => format!("http://{}/v1beta", self.address),
        }
    }

    /// Adds a reply to the end of the script.
    pub fn push(&self, reply: Reply) {
        lock(&self.shared.replies).push_back(reply);
    }

    /// The requests so far, refused ones included.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// Lets every held reply go on, those to come too.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Returns once clients have hung up on `count` unfinished answers.
    pub async fn until_closed(&self, count: usize) {
        // The sender lives as long as `self`, so this wait cannot fail.
        let _ = self.shared.closed.subscribe().wait_for(|closed| *closed >= count).await;
    }
}

impl Drop for ProviderFake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Dialect {
    /// The model that a request asks, when its path is one of the API.
    fn model<'a>(self, path: &'a str, body: &'a Value) -> Option<&'a str> {
        let in_body = |own: &str| (path == own).then(|| body["model"].as_str().unwrap_or_default());
        match self {
            Self::Anthropic => in_body("/v1/messages"),
            Self::OpenAi | Self::Ollama => in_body("/v1/chat/completions"),
            Self::Gemini => gemini::model(path),
        }
    }

    fn check(self, headers: &HeaderMap, query: &str, body: &Value) -> Result<(), Failure> {
        match self {
            Self::Anthropic => anthropic::check(headers, body),
            Self::OpenAi => {
                openai::check_key(headers)?;
                openai::check(body)
            }
            Self::Ollama => openai::check(body),
            Self::Gemini => gemini::check(headers, query, body),
        }
    }

    fn unknown_model(self, model: &str) -> Failure {
        match self {
            Self::Anthropic => anthropic::unknown_model(model),
            Self::OpenAi => openai::unknown_model(model),
            Self::Ollama => openai::unpulled_model(model),
            Self::Gemini => gemini::unknown_model(model),
        }
    }

    fn events(self, model: &str, answer: &Answer) -> Vec<String> {
        match self {
            Self::Anthropic => anthropic::events(model, answer),
            Self::OpenAi => openai::events(model, answer, openai::ToolCalls::InPieces),
            Self::Ollama => openai::events(model, answer, openai::ToolCalls::Whole),
            Self::Gemini => gemini::events(model, answer),
        }
    }

    fn failure_body(self, failure: &Failure) -> Value {
        match self {
            Self::Anthropic => anthropic::failure_body(&failure.kind, &failure.message),
            Self::OpenAi | Self::Ollama => openai::failure_body(&failure.kind, &failure.message),
            Self::Gemini => gemini::failure_body(failure.status, &failure.kind, &failure.message),
        }
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await else {
        return respond(&shared, Reply::failure(400, "invalid_request_error", "unreadable body"), "");
    };
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default();
    let dialect = shared.dialect;
    let asked = dialect.model(&path, &body).filter(|_| head.method == Method::POST).map(str::to_owned);
    let model = asked.clone().unwrap_or_default();
    let refusal = match asked {
        None => Err(Failure::new(404, "not_found_error", "Not Found")),
        Some(model) if model == UNKNOWN_MODEL => Err(dialect.unknown_model(&model)),
        Some(_) => dialect.check(&head.headers, query, &body),
    };
    lock(&shared.requests).push(RecordedRequest { path, headers: readable(&head.headers), body });
    let reply = match refusal {
        Err(failure) => Reply::from(failure),
        Ok(()) => lock(&shared.replies)
            .pop_front()
            .unwrap_or_else(|| Reply::failure(500, "api_error", "the script of the fake has ended")),
    };
    respond(&shared, reply, &model)
}

fn respond(shared: &Shared, reply: Reply, model: &str) -> Response {
    let Reply { body, piece, end } = reply;
    let (status, content_type, retry_after, events) = match body {
        Body::Answer(answer) => (200, "text/event-stream", None, shared.dialect.events(model, &answer)),
        Body::Raw { content_type, text } => {
            (200, content_type, None, text.split_inclusive("\n\n").map(str::to_owned).collect())
        }
        Body::Failure(failure) => {
            let body = shared.dialect.failure_body(&failure).to_string();
            (failure.status, "application/json", failure.retry_after, vec![body])
        }
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(CONTENT_TYPE, content_type);
    if let Some(wait) = retry_after {
        response = response.header(RETRY_AFTER, wait);
    }
    if (300..400).contains(&status) {
        response = response.header(LOCATION, "/elsewhere");
    }
    response.body(wire::body(&events, piece, end, &shared.closed, &shared.released)).unwrap_or_else(|_| {
        // Only a header of the script that no header can hold ends here; the test sees an empty answer.
        Response::new(HttpBody::empty())
    })
}

fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let carries_key =
        |name: &str| [AUTHORIZATION.as_str(), anthropic::KEY_HEADER, gemini::KEY_HEADER].contains(&name);
    let show = |name: &str, value: &[u8]| {
        if carries_key(name) { "[redacted]".into() } else { String::from_utf8_lossy(value).into_owned() }
    };
    headers.iter().map(|(name, value)| (name.to_string(), show(name.as_str(), value.as_bytes()))).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Failure {
    pub(crate) fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.into(), message: message.into(), retry_after: None }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self::failure(failure.status, failure.kind, failure.message)
    }
}
