//! The log: records of every part of the process, one line each, with the ids of the work they belong to.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, reload};

use loom_base::Clock;
use loom_telemetry::{TraceControl, TraceLevelError, attribute, redact};

use crate::fields::{Fields, short};
use crate::line::{Ids, Line};

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The layer that writes the log to standard error, and the control of its level.
///
/// `directives` are those of `tracing_subscriber`: `info`, or `info,loom_runtime=debug`.
pub fn log_layer<S>(
    format: LogFormat,
    directives: &str,
    clock: Arc<dyn Clock>,
) -> Result<(impl Layer<S>, Arc<dyn TraceControl>), TraceLevelError>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    log_layer_to(std::io::stderr, format, directives, clock)
}

/// As [`log_layer`], to another place.
pub fn log_layer_to<S, W>(
    writer: W,
    format: LogFormat,
    directives: &str,
    clock: Arc<dyn Clock>,
) -> Result<(impl Layer<S>, Arc<dyn TraceControl>), TraceLevelError>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(directives)?);
    let control = LogControl { handle, directives: Mutex::new(directives.to_owned()) };
    let layer = LogLayer { writer, format, clock };
    Ok((layer.with_filter(filter), Arc::new(control)))
}

fn parse(directives: &str) -> Result<EnvFilter, TraceLevelError> {
    let failed = |reason: String| TraceLevelError { directives: directives.to_owned(), reason };
    if directives.trim().is_empty() {
        return Err(failed("it is empty".into()));
    }
    EnvFilter::try_new(directives).map_err(|error| failed(error.to_string()))
}

struct LogControl<S> {
    handle: reload::Handle<EnvFilter, S>,
    directives: Mutex<String>,
}

impl<S> TraceControl for LogControl<S> {
    fn level(&self) -> String {
        self.directives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_level(&self, directives: &str) -> Result<(), TraceLevelError> {
        let filter = parse(directives)?;
        let mut current = self.directives.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(|error| TraceLevelError {
            directives: directives.to_owned(),
            reason: error.to_string(),
        })?;
        directives.clone_into(&mut current);
        Ok(())
    }
}

struct LogLayer<W> {
    writer: W,
    format: LogFormat,
    clock: Arc<dyn Clock>,
}

impl<W> fmt::Debug for LogLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer").field("format", &self.format).finish_non_exhaustive()
    }
}

/// Reads the ids that a span names and passes over the rest of it, which no line shows.
impl Visit for Ids {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some(id) = self.named(field) {
            *id = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(id) = self.named(field) {
            *id = Some(value.to_owned());
        }
    }
}

impl Ids {
    fn named(&mut self, field: &Field) -> Option<&mut Option<String>> {
        match field.name() {
            attribute::TRACE_ID => Some(&mut self.trace),
            attribute::SESSION_ID => Some(&mut self.session),
            attribute::LOOM_AGENT_ID => Some(&mut self.agent),
            _ => None,
        }
    }

    /// As a line may show them.
    fn shown(&self) -> Self {
        let shown = |id: &Option<String>| id.as_deref().map(|id| short(&redact(id)));
        Self { trace: shown(&self.trace), session: shown(&self.session), agent: shown(&self.agent) }
    }
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut ids =
            span.parent().and_then(|parent| parent.extensions().get::<Ids>().cloned()).unwrap_or_default();
        attributes.record(&mut ids);
        span.extensions_mut().insert(ids);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(ids) = span.extensions_mut().get_mut::<Ids>() {
            values.record(ids);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.values.remove("message");
        let span = context.event_span(event);
        let line = Line {
            at: self.clock.now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: message.as_ref().and_then(|text| text.as_str()).unwrap_or_default().to_owned(),
            fields: fields.values,
            ids: span.and_then(|span| span.extensions().get::<Ids>().map(Ids::shown)).unwrap_or_default(),
        };
        let text = match self.format {
            LogFormat::Text => line.to_text(),
            LogFormat::Json => line.to_json(),
        };
        // There is nowhere to say that the log cannot be written.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(text.as_bytes());
    }
}
