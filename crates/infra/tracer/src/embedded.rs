//! The embedded tracer: spans that ended go to the store, in batches, and never hold up the work they describe.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use loom_base::{Clock, Timestamp, TraceId};
use loom_store::{SpanRecord, SpanStore};
use loom_telemetry::{Metrics, attribute};

use crate::fields::Fields;

/// Spans that may wait for the store; beyond that they are dropped and counted. About 2 MB.
const CAPACITY: usize = 4_096;

/// Spans that are stored at once.
const BATCH: usize = 256;

/// Makes the layer for the server that is called `instance`, and the other end of its queue.
///
/// The layer takes the spans under a root whose `loom.instance` is `instance`, so several servers can share the
/// process's one subscriber. The root's `loom.trace_id` names the trace; without it nothing is kept.
pub fn embedded(instance: &str, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (EmbeddedLayer, Spans) {
    let (queue, waiting) = channel(CAPACITY);
    // Ids need to differ within a trace, which may span restarts: so they go on from the time.
    let first = u64::try_from(clock.now().as_micros()).unwrap_or(0);
    let layer = EmbeddedLayer {
        instance: instance.into(),
        next: AtomicU64::new(first),
        clock,
        queue,
        metrics: Arc::clone(&metrics),
    };
    (layer, Spans { waiting, metrics })
}

/// Collects the spans of one server.
pub struct EmbeddedLayer {
    instance: Arc<str>,
    next: AtomicU64,
    clock: Arc<dyn Clock>,
    queue: Sender<SpanRecord>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for EmbeddedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLayer").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// What all spans of a trace share.
struct Root {
    instance: Arc<str>,
    trace: OnceLock<TraceId>,
}

impl Root {
    fn learn(&self, fields: &Fields) {
        if let Some(trace) = fields.text(attribute::TRACE_ID).and_then(|text| text.parse().ok()) {
            // The first one stays.
            let _ = self.trace.set(trace);
        }
    }
}

/// What is kept with a span while it runs. The registry holds one for each span, so only the server that the span
/// belongs to may set it.
struct Running {
    root: Arc<Root>,
    id: u64,
    parent: Option<u64>,
    started_at: Timestamp,
    fields: Fields,
}

/// Whether a span says whose it is.
struct NamesInstance(bool);

impl Visit for NamesInstance {
    fn record_debug(&mut self, field: &Field, _value: &dyn fmt::Debug) {
        self.0 |= field.name() == attribute::INSTANCE;
    }
}

impl<S> Layer<S> for EmbeddedLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let running = extensions.get::<Running>()?;
            Some((Arc::clone(&running.root), running.id))
        });
        // Most spans are nobody's, and their fields are not read.
        let mut named = NamesInstance(false);
        attributes.record(&mut named);
        if above.is_none() && !named.0 {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let names = fields.text(attribute::INSTANCE);
        let (root, parent) = match (names, above) {
            (Some(name), above) if name == &*self.instance => {
                let above = above.filter(|(root, _)| root.instance == self.instance);
                let fresh =
                    || Arc::new(Root { instance: Arc::clone(&self.instance), trace: OnceLock::new() });
                above.map_or_else(|| (fresh(), None), |(root, id)| (root, Some(id)))
            }
            (None, Some((root, id))) if root.instance == self.instance => (root, Some(id)),
            _ => return,
        };
        root.learn(&fields);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        span.extensions_mut().insert(Running { root, id, parent, started_at: self.clock.now(), fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(running) = extensions.get_mut::<Running>() else { return };
        if running.root.instance == self.instance {
            values.record(&mut running.fields);
            running.root.learn(&running.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        // Another server's stays where it is: that server's layer comes for it.
        if extensions.get_mut::<Running>().is_none_or(|running| running.root.instance != self.instance) {
            return;
        }
        let Some(running) = extensions.remove::<Running>() else { return };
        let Some(trace) = running.root.trace.get().copied() else { return };
        let record = SpanRecord {
            trace,
            id: running.id,
            parent: running.parent,
            name: span.name().to_owned(),
            started_at: running.started_at,
            ended_at: self.clock.now(),
            attributes: running.fields.values,
        };
        if self.queue.try_send(record).is_err() {
            self.metrics.spans_dropped.add([], 1);
        }
    }
}

/// The spans that wait for the store.
#[derive(Debug)]
pub struct Spans {
    waiting: Receiver<SpanRecord>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// Stores spans as they come until `stop` resolves, then what still waits, then returns.
    pub async fn store_in(mut self, store: Arc<dyn SpanStore>, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            let taken = tokio::select! {
                () = &mut stop => break,
                taken = self.waiting.recv_many(&mut batch, BATCH) => taken,
            };
            if taken == 0 {
                return;
            }
            self.append(&*store, batch).await;
        }
        self.waiting.close();
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            if self.waiting.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            self.append(&*store, batch).await;
        }
    }

    async fn append(&self, store: &dyn SpanStore, batch: Vec<SpanRecord>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        if let Err(error) = store.append(batch).await {
            self.metrics.spans_dropped.add([], count);
            tracing::warn!(%error, count, "spans could not be stored");
        }
    }
}
