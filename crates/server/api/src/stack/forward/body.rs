//! The bodies of a call that may be sent on: what it says is kept, and what is answered ends with a status in any case.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::Failure;

/// What was read of a body.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<Bytes>>>);

impl Kept {
    pub(super) fn bytes(&self) -> Bytes {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &parts[..] {
            [one] => one.clone(),
            parts => {
                let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
                for part in parts {
                    whole.extend_from_slice(part);
                }
                whole.freeze()
            }
        }
    }
}

/// A request body that keeps what is read of it. It is bounded by what is around it.
pub(super) struct Keeping {
    body: Body,
    kept: Kept,
}

impl Keeping {
    pub(super) fn new(body: Body) -> (Self, Kept) {
        let kept = Kept::default();
        (Self { body, kept: kept.clone() }, kept)
    }
}

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(data.clone());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of another server's answer. One that breaks ends with `lost`, as a status.
pub(super) struct Relayed {
    body: Body,
    /// Taken when the body has ended.
    lost: Option<Failure>,
}

impl Relayed {
    pub(super) fn new(body: Body, lost: Failure) -> Self {
        Self { body, lost: Some(lost) }
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.lost.is_none() {
            return Poll::Ready(None);
        }
        if let Some(Ok(frame)) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            if frame.is_trailers() {
                self.lost = None;
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(lost) = self.lost.take() else { return Poll::Ready(None) };
        let mut trailers = HeaderMap::new();
        let written = Status::from(lost).add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.lost.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use loom_base::ErrorCode;
    use tonic::Code;

    use super::*;

    fn lost() -> Failure {
        Failure::new(ErrorCode::SessionElsewhere, "gone")
    }

    fn stream(frames: Vec<Result<Frame<Bytes>, Status>>) -> Body {
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn what_is_read_is_kept_whole() {
        let parts = ["ab", "", "cde"].map(|part| Ok(Frame::data(Bytes::from(part))));
        let (body, kept) = Keeping::new(stream(parts.into()));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
        assert_eq!(kept.bytes(), "abcde");
        let (body, kept) = Keeping::new(Body::new(Full::from("one")));
        drop(body.collect().await.unwrap());
        assert_eq!(kept.bytes(), "one");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_ends_with_a_status_and_one_that_does_not_is_as_it_was() {
        let data = || Ok(Frame::data(Bytes::from_static(b"x")));
        for broken in
            [vec![data()], vec![data(), Err(Status::unknown("reset"))], vec![Err(Status::unknown("reset"))]]
        {
            let answer = Relayed::new(stream(broken), lost()).collect().await.unwrap();
            let status = Status::from_header_map(answer.trailers().unwrap()).unwrap();
            assert_eq!(status.code(), Code::Unavailable);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let whole = vec![data(), Ok(Frame::trailers(trailers.clone()))];
        let answer = Relayed::new(stream(whole), lost()).collect().await.unwrap();
        assert_eq!(answer.trailers(), Some(&trailers));
    }
}
