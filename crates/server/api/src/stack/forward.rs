//! Sends a call whose session another server works on to that server, as it came, and its answer back.
//!
//! A call that was sent on says so, and is not sent on again: where two servers take each other for the owner, it ends with
//! `LOOM_SESSION_ELSEWHERE`. It carries a credential that only those who share the store can know, and the principal that
//! the first server found out; nobody else's word for a principal is taken.

mod body;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use loom_access::Principal;
use loom_base::{ErrorCode, Secret};
use loom_runtime::Peers;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, ServiceExt as _};

use crate::deadline::GRPC_TIMEOUT;
use crate::request::{REQUEST_ID, RequestId};
use crate::{Failure, deadline};
use body::{Keeping, Kept, Relayed};

/// What proves that a call comes from a server that shares the store.
const CREDENTIAL: HeaderName = HeaderName::from_static("x-loom-instance-credential");
/// Who made the call that is sent on.
const PRINCIPAL: HeaderName = HeaderName::from_static("x-loom-principal");
/// The time that the caller has left. Under the protocol's own name the client on the way would cut the call off itself,
/// before the other server can say how its turn ended.
const TIME_LEFT: HeaderName = HeaderName::from_static("x-loom-time-left");
/// How long another server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that owes an answer is asked this often whether it lives, and has so long to say so.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Servers that connections are kept to at most.
const MOST_CHANNELS: usize = 64;

/// The mark of a call that another server has sent on.
#[derive(Clone, Copy, Debug)]
struct SentOn;

/// The way to the other servers.
pub(super) struct Forward {
    peers: Arc<Peers>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl Forward {
    pub(super) fn new(peers: Arc<Peers>) -> Self {
        Self { peers, channels: Mutex::default() }
    }

    /// Takes the word of another server for who made the call. One that does not prove what it is, is refused.
    pub(super) fn receive(&self, call: &mut Request<Body>) -> Result<(), Failure> {
        let named = call.headers_mut().remove(PRINCIPAL);
        let left = call.headers_mut().remove(TIME_LEFT);
        let Some(offered) = call.headers_mut().remove(CREDENTIAL) else { return Ok(()) };
        let is_ours = offered.to_str().is_ok_and(|offered| self.peers.accepts(offered));
        let principal = named.and_then(|name| name.to_str().ok()?.parse::<Principal>().ok());
        let (true, Some(principal)) = (is_ours, principal) else {
            // It may have been meant for the one that listened here before.
            let message = "this call was sent on to a server that is not the one here; ask again";
            return Err(Failure::new(ErrorCode::SessionElsewhere, message));
        };
        if let Some(left) = left {
            call.headers_mut().insert(GRPC_TIMEOUT, left);
        }
        call.extensions_mut().insert(principal);
        call.extensions_mut().insert(SentOn);
        Ok(())
    }

    /// The same call, and what is needed to send it on; `None` for one that was sent on already.
    pub(super) fn keep(call: Request<Body>) -> (Request<Body>, Option<Copy>) {
        if call.extensions().get::<SentOn>().is_some() {
            return (call, None);
        }
        let (head, body) = call.into_parts();
        let (body, kept) = Keeping::new(body);
        let copy = Copy {
            path: head.uri.path().to_owned(),
            headers: head.headers.clone(),
            principal: head.extensions.get::<Principal>().copied().unwrap_or(Principal::Anonymous),
            request: head.extensions.get::<RequestId>().cloned(),
            kept,
        };
        (Request::from_parts(head, Body::new(body)), Some(copy))
    }

    /// The answer of the server that has the session, when `response` says that another one has it; `response` else. What
    /// is left of the time that the caller asked for is `left`.
    pub(super) async fn on(
        &self,
        copy: Copy,
        response: Response<Body>,
        end: Option<Instant>,
    ) -> Response<Body> {
        let Some((failure, address)) = elsewhere(&response) else { return response };
        let Some(credential) = self.peers.credential_for(&address) else { return response };
        tracing::debug!(address, "the call is sent on to the server that has the session");
        let answered = match copy.request(&credential, end) {
            Some(request) => self.send(&address, request).await,
            None => return response,
        };
        match answered {
            // One that ends with its headers has said how.
            Ok(answer) if Status::from_header_map(answer.headers()).is_some() => answer,
            Ok(answer) => answer.map(|body| Body::new(Relayed::new(body, lost(&address)))),
            Err(error) => {
                tracing::info!(address, %error, "the server that has the session cannot be reached");
                self.lock().remove(&address);
                Status::from(unreachable(failure, &address)).into_http()
            }
        }
    }

    async fn send(
        &self,
        address: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let mut channel = self.channel(address)?;
        Ok(channel.ready().await?.call(request).await?)
    }

    /// A connection that is opened when it is used.
    fn channel(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let mut channels = self.lock();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .connect_lazy();
        if channels.len() >= MOST_CHANNELS {
            channels.clear();
        }
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Channel>> {
        // Nothing panics while it is held.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that may have to be sent on.
pub(super) struct Copy {
    path: String,
    headers: HeaderMap,
    principal: Principal,
    request: Option<RequestId>,
    kept: Kept,
}

impl Copy {
    /// The call as it is sent to a server that takes `credential`; `None` when it cannot be written, which no call that
    /// came in is.
    fn request(self, credential: &Secret, end: Option<Instant>) -> Option<Request<Body>> {
        let mut headers = self.headers;
        headers.remove(HOST);
        headers.remove(GRPC_TIMEOUT);
        if let Some(end) = end {
            headers.insert(TIME_LEFT, deadline::header(end.saturating_duration_since(Instant::now())));
        }
        let mut secret = HeaderValue::from_str(credential.expose()).ok()?;
        secret.set_sensitive(true);
        headers.insert(CREDENTIAL, secret);
        headers.insert(PRINCIPAL, HeaderValue::from_static(self.principal.as_str()));
        if let Some(id) = self.request.and_then(|id| id.header()) {
            headers.insert(REQUEST_ID, id);
        }
        let body: Bytes = self.kept.bytes();
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.path.parse::<Uri>().ok()?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// Where the server listens that has the session, when the answer says so before its first message.
fn elsewhere(response: &Response<Body>) -> Option<(Failure, String)> {
    let status = Status::from_header_map(response.headers())?;
    let failure = Failure::from_status(&status);
    let address =
        failure.metadata.get(Failure::HOLDER).filter(|_| failure.code == ErrorCode::SessionElsewhere);
    let address = address.cloned()?;
    Some((failure, address))
}

/// Nobody answers there: what stopped frees its sessions, and what hangs loses them.
fn unreachable(failure: Failure, address: &str) -> Failure {
    let message = format!(
        "the session is held by the instance at {address}, which cannot be reached; ask again: another takes it over \
         when that one has stopped or was silent for too long"
    );
    Failure { message, ..failure }
}

/// The other server was there and is gone.
fn lost(address: &str) -> Failure {
    let message = format!(
        "the connection to {address}, which has the session, broke; its turn goes on, and can be found again by its id"
    );
    Failure::new(ErrorCode::SessionElsewhere, message)
}
