//! Refuses a gRPC message that is too large as soon as its length is known, without reading it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use loom_base::ErrorCode;
use tonic::Status;
use tonic::body::Body;

use crate::Failure;

/// A compression flag and a length of four bytes stand before each message (PROTOCOL-HTTP2.md).
pub(crate) const FRAME_HEADER_BYTES: usize = 5;

/// A request body whose messages are all within `limit`; the first that is not ends it with an error.
pub(super) struct FrameGuard {
    body: Body,
    limit: usize,
    header: [u8; FRAME_HEADER_BYTES],
    header_filled: usize,
    message_left: usize,
}

impl FrameGuard {
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self { body, limit, header: [0; FRAME_HEADER_BYTES], header_filled: 0, message_left: 0 }
    }

    fn look_at(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        while !data.is_empty() {
            if self.message_left > 0 {
                let skipped = self.message_left.min(data.len());
                self.message_left -= skipped;
                data = &data[skipped..];
                continue;
            }
            self.header[self.header_filled] = data[0];
            self.header_filled += 1;
            data = &data[1..];
            if self.header_filled == FRAME_HEADER_BYTES {
                let [_, length @ ..] = self.header;
                self.message_left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.header_filled = 0;
            }
            if self.message_left > self.limit {
                return Err(too_large(self.message_left, self.limit));
            }
        }
        Ok(())
    }
}

impl http_body::Body for FrameGuard {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let looked = frame.data_ref().map_or(Ok(()), |data| self.look_at(data));
        Poll::Ready(Some(looked.map(|()| frame).map_err(Status::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(crate) fn too_large(bytes: usize, limit: usize) -> Failure {
    Failure::new(ErrorCode::TooLarge, format!("the message has {bytes} bytes, the server takes {limit}"))
        .with("limit_bytes", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_lengths_across_chunks() {
        let mut guard = FrameGuard::new(Body::empty(), 3);
        for chunk in [&[0, 0, 0][..], &[0, 3, 1], &[2, 3, 0], &[0, 0, 0, 0, 0]] {
            assert_eq!(guard.look_at(chunk), Ok(()));
        }
        assert_eq!(guard.look_at(&[0, 0, 0, 4]), Err(too_large(4, 3)));
    }
}
