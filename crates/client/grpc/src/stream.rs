//! A turn while it runs.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tonic::Streaming;

use loom_proto::v1::{ExecutionStage, WeaveProgress};

use crate::Error;

/// The events of a turn, in order. Its last event has stage COMPLETED, or FAILED and then comes the error.
///
/// Dropping it tells the server that nobody listens any more; the turn ends with it only when the request said
/// `cancel_on_disconnect`. A stream that ends too early ends with an error, never silently.
#[derive(Debug)]
pub struct TurnStream {
    events: Streaming<WeaveProgress>,
    address: String,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Over,
}

impl TurnStream {
    pub(crate) const fn new(events: Streaming<WeaveProgress>, address: String) -> Self {
        Self { events, address, state: State::Running }
    }
}

impl Stream for TurnStream {
    type Item = Result<WeaveProgress, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.state == State::Over {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut self.events).poll_next(context) else { return Poll::Pending };
        let item = match next {
            Some(Ok(event)) => {
                if matches!(event.stage(), ExecutionStage::Completed | ExecutionStage::Failed) {
                    self.state = State::Ended;
                }
                Some(Ok(event))
            }
            Some(Err(status)) => {
                self.state = State::Over;
                Some(Err(Error::from_status(&status, &self.address)))
            }
            None if self.state == State::Running => {
                self.state = State::Over;
                Some(Err(Error::broken(&self.address, "the stream ended before the turn did")))
            }
            None => {
                self.state = State::Over;
                None
            }
        };
        Poll::Ready(item)
    }
}
