//! The process's log and spans: installed once, before anything is logged.

use std::sync::Arc;

use loom_embed::base::ErrorCode;
use loom_embed::tracer::{EmbeddedLayer, LogFormat, log_layer};
use loom_embed::{Loom, SystemClock};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::failure::Failure;

/// A place for the span layer, which exists only once its Loom does.
pub(crate) struct Spans(reload::Handle<Option<EmbeddedLayer>, Registry>);

/// Installs the log on stderr.
pub(crate) fn install(format: LogFormat, directives: &str) -> Result<Spans, Failure> {
    let (spans, handle) = reload::Layer::new(None);
    let (log, _) = log_layer(format, directives, Arc::new(SystemClock))
        .map_err(|error| Failure::new(ErrorCode::InvalidConfig, error))?;
    tracing_subscriber::registry().with(spans).with(log).try_init().map_err(|error| {
        Failure::new(ErrorCode::Internal, format!("the log cannot be installed: {error}"))
    })?;
    Ok(Spans(handle))
}

impl Spans {
    /// Keeps the inner spans of `loom`'s turns, where its configuration wants that.
    pub(crate) fn keep(&self, loom: &Loom) -> Result<(), Failure> {
        let layer = loom.span_layer();
        let failed = |error: reload::Error| {
            Failure::new(ErrorCode::Internal, format!("spans cannot be kept: {error}"))
        };
        self.0.modify(|spans| *spans = layer).map_err(failed)
    }
}
