//! Writes a scripted body to a socket, piece by piece.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::watch;

use crate::reply::End;

/// How often clients hung up on an unfinished body.
pub(crate) type Closed = watch::Sender<usize>;

/// Whether held bodies go on.
pub(crate) type Released = watch::Sender<bool>;

/// The body made of `events`, each written with its blank line.
pub(crate) fn body(events: &[String], piece: usize, end: End, closed: &Closed, released: &Released) -> Body {
    let (shown, ending) = match end {
        End::Complete => (events.concat(), Ending::Complete),
        End::CutAfterBytes(bytes) => {
            let mut text = events.concat().into_bytes();
            let ending = if bytes < text.len() { Ending::Cut } else { Ending::Complete };
            text.truncate(bytes);
            return Body::from_stream(pieces(text, piece, ending, closed.clone()));
        }
        End::CutAfterEvents(count) => (events[..count.min(events.len())].concat(), Ending::Cut),
        End::StallAfterEvents(count) => (events[..count.min(events.len())].concat(), Ending::Stall),
        End::HoldAfterEvents(count) => {
            let (first, rest) = events.split_at(count.min(events.len()));
            let mut released = released.subscribe();
            let first = pieces(first.concat().into_bytes(), piece, Ending::Open, closed.clone());
            let rest = pieces(rest.concat().into_bytes(), piece, Ending::Complete, closed.clone());
            let gate = futures::stream::once(async move {
                // The sender lives as long as the fake, so this wait cannot fail.
                let _ = released.wait_for(|released| *released).await;
                rest
            });
            return Body::from_stream(first.chain(gate.flatten()));
        }
    };
    Body::from_stream(pieces(shown.into_bytes(), piece, ending, closed.clone()))
}

#[derive(Clone, Copy)]
enum Ending {
    Complete,
    Cut,
    Stall,
    /// Another body follows.
    Open,
}

fn pieces(
    text: Vec<u8>,
    piece: usize,
    ending: Ending,
    closed: Closed,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    async_stream::stream! {
        let mut watcher = Watcher { closed, done: false };
        let text = Bytes::from(text);
        let mut from = 0;
        while from < text.len() {
            let to = from.saturating_add(piece).min(text.len());
            watcher.done = to == text.len() && !matches!(ending, Ending::Stall);
            yield Ok(text.slice(from..to));
            // Lets the server write this piece before the next one is there.
            tokio::task::yield_now().await;
            from = to;
        }
        match ending {
            Ending::Complete | Ending::Open => watcher.done = true,
            Ending::Cut => {
                watcher.done = true;
                yield Err(std::io::Error::other("cut by the script"));
            }
            Ending::Stall => match std::future::pending::<Infallible>().await {},
        }
    }
}

/// Notices that a body was dropped before its end.
struct Watcher {
    closed: Closed,
    done: bool,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if !self.done {
            self.closed.send_modify(|count| *count += 1);
        }
    }
}
