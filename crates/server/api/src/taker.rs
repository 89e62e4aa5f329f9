//! Notices a client that takes nothing of what is ready for it, and frees the place its call holds.
//!
//! A client that does not read holds back its answer: on HTTP/1 the socket takes no more bytes, on HTTP/2 the stream's
//! flow-control window stays shut, and in both cases nobody asks the answer's body for more. A heartbeat that the
//! socket does not take is no sign of life.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

tokio::task_local! {
    static TAKER: Arc<Taker>;
}

/// The end of a connection's first words: the length of HTTP/2's preface (RFC 9113, §3.4), which is less than that of
/// any HTTP/1.1 request that names its host.
const GREETING_BYTES: usize = 24;

/// A call's place among the calls in progress, and whether its client stopped taking the answer. An extension of the
/// requests of connections.
#[derive(Clone, Default)]
pub(crate) struct Claim(Arc<ClaimState>);

#[derive(Default)]
struct ClaimState {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    stalled: CancellationToken,
}

impl Claim {
    /// Keeps `place` until what is returned is dropped, or the client takes nothing for too long.
    pub(crate) fn hold(&self, place: Option<OwnedSemaphorePermit>) -> Held {
        *lock(&self.0.place) = place;
        Held(self.clone())
    }

    fn release(&self) {
        drop(lock(&self.0.place).take());
    }

    /// Returns once the client has taken nothing for too long.
    pub(crate) fn stalled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.stalled.clone().cancelled_owned()
    }
}

/// The call that a claim is held for.
pub(crate) struct Held(Claim);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Whoever takes answers: a connection, or one stream of an HTTP/2 connection.
#[derive(Default)]
pub(crate) struct Taker(Mutex<TakerState>);

#[derive(Default)]
struct TakerState {
    /// Since when the socket takes no bytes that are ready.
    socket_full: Option<Instant>,
    /// Since when a part of the answer is out and nobody asked for the next.
    part_out: Option<Instant>,
    claim: Claim,
    read_bytes: usize,
}

impl Taker {
    /// Since when something has waited to be taken.
    fn waiting_since(&self) -> Option<Instant> {
        let state = lock(&self.0);
        state.socket_full.into_iter().chain(state.part_out).min()
    }

    /// Whether the peer has said enough to be speaking HTTP.
    pub(crate) fn has_greeted(&self) -> bool {
        lock(&self.0).read_bytes >= GREETING_BYTES
    }

    /// Runs `work`, whose calls are those of this taker. `None` means that nothing was taken for twice `limit`, and
    /// `work` is dropped; its call gives up its place after half of that, and ends with an error if its client wakes up.
    pub(crate) async fn watch<T>(
        self: Arc<Self>,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let watching = Arc::clone(&self);
        tokio::select! {
            biased;
            done = TAKER.scope(self, work) => Some(done),
            () = watching.given_up(limit) => None,
        }
    }

    async fn given_up(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = self.waiting_since().unwrap_or(now);
            if since + limit > now {
                tokio::time::sleep_until(since + limit).await;
                continue;
            }
            let claim = lock(&self.0).claim.clone();
            claim.release();
            claim.0.stalled.cancel();
            if since + 2 * limit <= now {
                tracing::info!(limit_ms = limit.as_millis(), "a client took nothing; its stream is cut off");
                return;
            }
            tokio::time::sleep_until(since + 2 * limit).await;
        }
    }
}

/// Lets the taker of this task know `request`; its answer goes through [`taken`].
pub(crate) fn announce<B>(request: &mut Request<B>) -> Option<Arc<Taker>> {
    let taker = TAKER.try_with(Arc::clone).ok()?;
    let claim = Claim::default();
    lock(&taker.0).claim = claim.clone();
    request.extensions_mut().insert(claim);
    Some(taker)
}

/// The answer, with `taker` told how it is taken.
pub(crate) fn taken(response: Response<Body>, taker: Option<Arc<Taker>>) -> Response<Body> {
    match taker {
        Some(taker) => response.map(|body| Body::new(Parts { body, taker })),
        None => response,
    }
}

struct Parts {
    body: Body,
    taker: Arc<Taker>,
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        lock(&self.taker.0).part_out = None;
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            lock(&self.taker.0).part_out = Some(Instant::now());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        lock(&self.taker.0).part_out = None;
    }
}

/// A connection's socket, which tells its taker what it takes.
pub(crate) struct Socket<S> {
    inner: S,
    taker: Arc<Taker>,
}

impl<S> Socket<S> {
    pub(crate) const fn new(inner: S, taker: Arc<Taker>) -> Self {
        Self { inner, taker }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.taker.0);
        match written {
            Poll::Pending => drop(state.socket_full.get_or_insert_with(Instant::now)),
            Poll::Ready(_) => state.socket_full = None,
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let state = &mut lock(&self.taker.0);
        state.read_bytes = state.read_bytes.saturating_add(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
