//! Spans into a store.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use loom_base::TraceId;
use loom_store::{Error, SpanRecord, SpanStore};
use loom_telemetry::Metrics;
use loom_tracer::{EmbeddedLayer, Spans, embedded};
use serde_json::json;
use tracing::{info_span, subscriber::with_default};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use super::{TRACE, Ticks};

/// What reached the store.
#[derive(Default)]
struct Shelf(Mutex<Vec<SpanRecord>>);

#[async_trait]
impl SpanStore for Shelf {
    async fn append(&self, spans: Vec<SpanRecord>) -> Result<(), Error> {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }

    async fn of_trace(&self, trace: TraceId) -> Result<Vec<SpanRecord>, Error> {
        Ok(self.0.lock().unwrap().iter().filter(|span| span.trace == trace).cloned().collect())
    }
}

fn server(name: &str) -> (EmbeddedLayer, Spans, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let (layer, spans) = embedded(name, Arc::new(Ticks::default()), Arc::clone(&metrics));
    (layer, spans, metrics)
}

/// Everything that waits, stored.
async fn stored(spans: Spans) -> Vec<SpanRecord> {
    let shelf = Arc::new(Shelf::default());
    spans.store_in(Arc::clone(&shelf) as Arc<dyn SpanStore>, async {}).await;
    shelf.of_trace(TRACE.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_tree_of_spans_is_stored_with_its_attributes_redacted() {
    let (layer, spans, _) = server("one");
    with_default(registry().with(layer), || {
        let root = info_span!("invoke_agent", loom.instance = "one", loom.trace_id = TRACE);
        let call = info_span!(parent: &root, "chat", gen_ai.usage.input_tokens = 7, api_key = "abc", late = tracing::field::Empty);
        call.record("late", "password=hunter2");
    });
    let stored = stored(spans).await;
    let [call, root] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!((root.name.as_str(), root.parent), ("invoke_agent", None));
    assert_eq!((call.name.as_str(), call.parent), ("chat", Some(root.id)));
    assert!(
        root.started_at < call.started_at && call.started_at < call.ended_at && call.ended_at < root.ended_at
    );
    let expected =
        json!({"gen_ai.usage.input_tokens": 7, "api_key": "[redacted]", "late": "password=[redacted]"});
    assert_eq!(serde_json::Value::Object(call.attributes.clone()), expected);
}

#[tokio::test]
async fn two_servers_in_one_process_get_their_own_spans_only() {
    let (one, spans_of_one, _) = server("one");
    let (two, spans_of_two, _) = server("two");
    with_default(registry().with(one).with(two), || {
        for (instance, name) in [("one", "a"), ("two", "b"), ("three", "c")] {
            let root = info_span!("root", loom.instance = instance, loom.trace_id = TRACE);
            root.in_scope(|| info_span!("child", name).in_scope(|| info_span!("grandchild", name)));
        }
        info_span!("nobody's", loom.trace_id = TRACE);
    });
    for (spans, name) in [(spans_of_one, "a"), (spans_of_two, "b")] {
        let stored = stored(spans).await;
        let names: Vec<&str> = stored.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["grandchild", "child", "root"]);
        assert!(stored[..2].iter().all(|span| span.attributes["name"] == name), "{stored:?}");
    }
}

#[tokio::test]
async fn a_trace_id_that_comes_late_is_in_time_for_what_ends_after_it() {
    let (layer, spans, _) = server("one");
    with_default(registry().with(layer), || {
        let root = info_span!("root", loom.instance = "one", loom.trace_id = tracing::field::Empty);
        root.in_scope(|| drop(info_span!("early")));
        root.record("loom.trace_id", TRACE);
        root.in_scope(|| drop(info_span!("late")));
    });
    let names: Vec<String> = stored(spans).await.into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["late", "root"]);
}

#[tokio::test]
async fn what_the_store_cannot_keep_up_with_is_dropped_and_counted() {
    let (layer, spans, metrics) = server("one");
    with_default(registry().with(layer), || {
        for _ in 0..5_000 {
            drop(info_span!("root", loom.instance = "one", loom.trace_id = TRACE));
        }
    });
    let stored = u64::try_from(stored(spans).await.len()).unwrap();
    assert!(metrics.spans_dropped.get([]) > 0);
    assert_eq!(stored + metrics.spans_dropped.get([]), 5_000);
}
