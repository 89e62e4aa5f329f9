//! Lines of the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use loom_telemetry::TraceControl;
use loom_tracer::{LogFormat, log_layer_to};
use serde_json::{Value, json};
use tracing::subscriber::with_default;
use tracing::{debug, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use super::{TRACE, Ticks};

/// A page that the log is written to.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `work` logs.
fn logged(format: LogFormat, directives: &str, work: impl FnOnce(&dyn TraceControl)) -> String {
    let page = Page::default();
    let writer = page.clone();
    let (layer, control) =
        log_layer_to(move || writer.clone(), format, directives, Arc::new(Ticks::default())).unwrap();
    with_default(registry().with(layer), || work(&*control));
    String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn a_text_line_has_time_level_place_fields_and_ids() {
    let text = logged(LogFormat::Text, "info", |_| {
        let span = info_span!("turn", loom.trace_id = TRACE, loom.session_id = "sess_1");
        span.in_scope(|| {
            info_span!("call", loom.agent_id = "agent_1").in_scope(|| {
                info!(llm.provider = "mock", llm.cost_usd = 0.5, note = "two words", "model answered");
            });
        });
    });
    let expected = format!(
        "1970-01-01T00:00:00.000000Z  INFO it::log: model answered llm.cost_usd=0.5 llm.provider=mock \
         note=\"two words\" trace_id={TRACE} session_id=sess_1 agent_id=agent_1\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_json_line_is_one_object_with_flat_keys() {
    let text = logged(LogFormat::Json, "info", |_| {
        let span = info_span!("turn", loom.trace_id = TRACE);
        span.in_scope(|| warn!(llm.latency_ms = 12, level = "mine", "slow"));
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "timestamp": "1970-01-01T00:00:00.000000Z", "level": "WARN", "target": "it::log", "message": "slow",
        "trace_id": TRACE, "llm.latency_ms": 12, "field.level": "mine",
    });
    assert_eq!(line, expected);
}

#[test]
fn secrets_do_not_reach_the_log_and_nobody_forges_a_line() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = logged(format, "info", |_| {
            info!(
                dsn = "postgres://me:hunter2@host/db",
                password = "hunter2",
                mail = "a@b.example",
                "sk-hunter2-hunter2"
            );
            info!(name = "x\n1970 INFO forged", "two\nlines");
        });
        assert!(!text.contains("hunter2") && !text.contains("a@b.example"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

#[test]
fn the_level_changes_while_it_runs_and_a_broken_one_changes_nothing() {
    let text = logged(LogFormat::Text, "info", |control| {
        debug!("one");
        control.set_level("debug").unwrap();
        debug!("two");
        assert!(control.set_level("loom=loud").unwrap_err().to_string().contains("loom=loud"));
        assert!(control.set_level(" ").is_err());
        assert_eq!(control.level(), "debug");
        debug!("three");
        control.set_level("off").unwrap();
        warn!("four");
    });
    let words: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(words, ["two", "three"]);
}

#[test]
fn a_long_field_is_cut() {
    let text = logged(LogFormat::Text, "info", |_| info!(body = "é".repeat(10_000), "long"));
    assert!(text.len() < 5_000, "{}", text.len());
}
