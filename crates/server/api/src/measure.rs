//! Counts and times requests, whichever door they came through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom_telemetry::Metrics;
use tokio::time::Instant;
use tonic::Code;

use crate::Failure;

/// The RPCs that are served beside those of `loom.v1`.
const OTHERS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// What stands for every path that leads to no RPC: callers make up as many as they like.
const UNKNOWN: &str = "unknown";

/// A request being worked on. Recorded once, by the first [`end`](Self::end); one that is dropped before was given up by
/// its caller.
#[derive(Clone)]
pub(crate) struct Measured(Arc<Request>);

struct Request {
    metrics: Arc<Metrics>,
    rpc: &'static str,
    begun: Instant,
    is_over: AtomicBool,
}

impl Measured {
    /// Begins with a call of `path`.
    pub(crate) fn begin(metrics: &Arc<Metrics>, path: &str) -> Self {
        metrics.requests_in_flight.increment();
        let begun = Instant::now();
        Self(Arc::new(Request {
            metrics: Arc::clone(metrics),
            rpc: rpc(path),
            begun,
            is_over: AtomicBool::new(false),
        }))
    }

    /// Records a request that was refused before it led to an RPC.
    pub(crate) fn refused(metrics: &Arc<Metrics>, failure: &Failure) {
        Self::begin(metrics, UNKNOWN).end(failure.grpc_code());
    }

    /// The answer has ended with `code`.
    pub(crate) fn end(&self, code: Code) {
        self.0.end(code);
    }
}

impl Request {
    fn end(&self, code: Code) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        self.metrics.requests.add([self.rpc, name(code)], 1);
        self.metrics.request_seconds.observe([self.rpc], self.begun.elapsed());
        self.metrics.requests_in_flight.decrement();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

fn rpc(path: &str) -> &'static str {
    let known = loom_access::entry(path).map(|entry| entry.rpc);
    let other = || OTHERS.into_iter().find(|other| path.strip_prefix('/') == Some(other));
    known.or_else(other).unwrap_or(UNKNOWN)
}

/// The code as gRPC's documentation spells it (statuscodes.md).
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
