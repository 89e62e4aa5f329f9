//! The answer to a request, read as it arrives.

use async_stream::try_stream;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::pace::Pace;
use crate::{Error, Limits, parse_retry_after, sse};

/// An answer whose body has not been read. Dropping it closes the connection.
pub struct Response {
    answer: reqwest::Response,
    pace: Pace,
    limits: Limits,
}

impl Response {
    pub(crate) const fn new(answer: reqwest::Response, pace: Pace, limits: Limits) -> Self {
        Self { answer, pace, limits }
    }

    /// The status. A redirect is an answer like any other.
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// Whether the body is of the MIME type `wanted`, parameters aside.
    pub fn is_of_type(&self, wanted: &str) -> bool {
        let given = self.answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        given
            .and_then(|given| given.split(';').next())
            .is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted))
    }

    /// The wait that the service asks for.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        let value = self.answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
        parse_retry_after(value, self.pace.clock.now())
    }

    /// The whole body, unless it is larger than `cap` bytes.
    pub async fn bytes(self, cap: usize) -> Result<Vec<u8>, Error> {
        let mut pieces = std::pin::pin!(self.pieces(cap));
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
        }
        Ok(body)
    }

    /// The body as an event stream. It ends with the body; an unfinished event at the end is dropped, as the standard
    /// says, so a caller must know its protocol's last event.
    pub fn events(self) -> impl Stream<Item = Result<sse::Event, Error>> + Send + 'static {
        let (cap, host) = (self.limits.event, self.pace.host.clone());
        let pieces = self.pieces_of_stream();
        try_stream! {
            let mut pieces = std::pin::pin!(pieces);
            let mut decoder = sse::Decoder::new(cap);
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                let mut rest = piece.as_ref();
                while let Some(event) =
                    decoder.next(&mut rest).map_err(|_| Error::TooLarge { host: host.clone(), cap })?
                {
                    yield event;
                }
            }
        }
    }

    fn pieces_of_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let cap = self.limits.body;
        self.pieces(cap)
    }

    fn pieces(self, cap: usize) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let Self { mut answer, pace, .. } = self;
        try_stream! {
            let mut left = cap;
            while let Some(piece) =
                pace.bound(answer.chunk()).await?.map_err(|error| Error::exchange(&pace.host, &error))?
            {
                left = left
                    .checked_sub(piece.len())
                    .ok_or_else(|| Error::TooLarge { host: pace.host.clone(), cap })?;
                yield piece;
            }
        }
    }
}
