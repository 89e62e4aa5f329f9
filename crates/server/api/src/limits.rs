//! The limits on everything a stranger can send.

use std::time::Duration;

/// What the server accepts. Each limit is enforced before the thing it limits is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message or HTTP body, in bytes; larger ones are refused with `LOOM_TOO_LARGE`.
    pub message_bytes: usize,
    /// The largest sum of a request's header names and values, in bytes.
    pub header_bytes: usize,
    /// The most calls of `loom.v1` in progress; one more is refused with `LOOM_OVERLOADED`. A stream is in progress
    /// until its end.
    pub concurrent_requests: usize,
    /// The most streams of one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// The longest a call with one answer may take. Streams are bounded by their turn's deadline.
    pub request_time: Duration,
    /// The longest the server waits for calls in progress when it stops.
    pub drain_time: Duration,
}

impl Default for Limits {
    /// 8 MiB, 16 KiB, 1,000 calls, 200 streams, 5 minutes, 30 seconds.
    fn default() -> Self {
        Self {
            message_bytes: 8 << 20,
            header_bytes: 16 << 10,
            concurrent_requests: 1_000,
            streams_per_connection: 200,
            request_time: Duration::from_mins(5),
            drain_time: Duration::from_secs(30),
        }
    }
}
