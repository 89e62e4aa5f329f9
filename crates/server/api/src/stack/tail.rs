//! A response body that holds its call's place until it ends, says how it ended, and that something else may end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::Failure;
use crate::measure::Measured;
use crate::taker::Held;

pub(super) struct Tail {
    body: Body,
    /// Ends the body with a failure as soon as it is ready.
    ending: BoxFuture<'static, Failure>,
    is_over: bool,
    _held: Held,
    measured: Measured,
}

impl Tail {
    pub(super) fn new(
        body: Body,
        ending: BoxFuture<'static, Failure>,
        held: Held,
        measured: Measured,
    ) -> Self {
        Self { body, ending, is_over: false, _held: held, measured }
    }

    /// Takes down how the answer ended, if `frame` ends it.
    fn measure(&self, frame: Option<&Result<Frame<Bytes>, Status>>) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.measured.end(status.code());
                }
            }
            Some(Err(status)) => self.measured.end(status.code()),
            None => self.measured.end(Code::Unknown),
        }
    }
}

impl http_body::Body for Tail {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(failure) = self.ending.as_mut().poll(cx) {
            self.is_over = true;
            // Dropping the service's body is what tells the service.
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            let written = Status::from(failure).add_header(&mut trailers);
            let frame = Some(written.map(|()| Frame::trailers(trailers)));
            self.measure(frame.as_ref());
            return Poll::Ready(frame);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_over = frame.is_none();
        self.measure(frame.as_ref());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
