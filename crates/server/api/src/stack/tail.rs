//! A response body that holds its call's place until it ends, and that something else may end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use crate::Failure;

pub(super) struct Tail {
    body: Body,
    /// Ends the body with a failure as soon as it is ready.
    ending: Option<BoxFuture<'static, Failure>>,
    is_over: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Tail {
    pub(super) fn new(
        body: Body,
        ending: Option<BoxFuture<'static, Failure>>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { body, ending, is_over: false, _slot: slot }
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
        if let Some(ending) = &mut self.ending
            && let Poll::Ready(failure) = ending.as_mut().poll(cx)
        {
            self.is_over = true;
            // Dropping the service's body is what tells the service.
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            let written = Status::from(failure).add_header(&mut trailers);
            return Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_over = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
