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
    /// How long a client may take nothing of what is ready for it. Then its call gives up its place among those in
    /// progress and ends with `LOOM_DEADLINE_EXCEEDED`; after the same time again its stream is reset, which over HTTP/1
    /// closes the connection. A turn runs on.
    pub stall_time: Duration,
    /// The most connections of both listeners together; one more is told `LOOM_OVERLOADED` and closed.
    pub connections: usize,
    /// How long a new connection may be silent before it is closed.
    pub greeting_time: Duration,
    /// The longest the server waits for calls in progress when it stops.
    pub drain_time: Duration,
}

impl Default for Limits {
    /// 8 MiB, 16 KiB, 1,000 calls, 200 streams, 5 minutes, and 30 seconds to take something; 800 connections, which leaves
    /// room below the 1,024 files that a process can usually open; 10 seconds of silence, 30 seconds to stop.
    fn default() -> Self {
        Self {
            message_bytes: 8 << 20,
            header_bytes: 16 << 10,
            concurrent_requests: 1_000,
            streams_per_connection: 200,
            request_time: Duration::from_mins(5),
            stall_time: Duration::from_secs(30),
            connections: 800,
            greeting_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(30),
        }
    }
}
