//! What Loom counts and times, rendered as text for Prometheus.
//!
//! Label values are the caller's to bound: a name that a model or a client made up is never one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::{PoisonError, RwLock};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter as RawCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as RawGauge;
use prometheus_client::metrics::histogram::Histogram as RawHistogram;
use prometheus_client::registry::Registry;

use crate::names::{Definition, metric};

/// The content type of what [`MetricsSource::render`] returns (`OpenMetrics` 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds: from a query on a small table to a turn of many model calls.
const SECONDS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

/// Something whose metrics can be read.
pub trait MetricsSource: Send + Sync {
    /// All metrics as they are now, in the `OpenMetrics` text format.
    fn render(&self) -> String;
}

type Labels<const N: usize> = [(&'static str, String); N];

fn label<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels<N> {
    let mut values = values.into_iter();
    names.map(|name| (name, values.next().map(escape).unwrap_or_default()))
}

/// `value` as it may stand between quotes in the text format; the encoder leaves that to us.
fn escape(value: &str) -> String {
    if !value.contains(['\\', '"', '\n']) {
        return value.to_owned();
    }
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The members of a family by their label values: found without making a text of each label first.
#[derive(Debug)]
struct Members<const N: usize, M> {
    hasher: RandomState,
    /// By the hash of their values.
    known: RwLock<HashMap<u64, Vec<Member<N, M>>>>,
}

/// A member and its label values.
type Member<const N: usize, M> = ([String; N], M);

impl<const N: usize, M> Default for Members<N, M> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), known: RwLock::default() }
    }
}

impl<const N: usize, M: Clone> Members<N, M> {
    /// The member of `values`; made by `make` when it is asked for the first time.
    fn get(&self, values: [&str; N], make: impl FnOnce() -> M) -> M {
        let hash = self.hasher.hash_one(values);
        {
            // Nothing panics while it is held.
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let found = known.get(&hash).and_then(|same| same.iter().find(|(own, _)| *own == values));
            if let Some((_, member)) = found {
                return member.clone();
            }
        }
        let member = make();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(hash).or_default().push((values.map(str::to_owned), member.clone()));
        member
    }
}

/// A count that only grows, one for each combination of `N` label values.
#[derive(Debug)]
pub struct Counter<const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels<N>, RawCounter<u64, AtomicU64>>,
    members: Members<N, RawCounter<u64, AtomicU64>>,
}

impl<const N: usize> Counter<N> {
    /// Adds `amount` to the count of `values`, which are in the order of the metric's labels.
    pub fn add(&self, values: [&str; N], amount: u64) {
        let make = || self.family.get_or_create_owned(&label(self.labels, values));
        self.members.get(values, make).inc_by(amount);
    }

    /// The count of `values` so far.
    pub fn get(&self, values: [&str; N]) -> u64 {
        self.family.get(&label(self.labels, values)).map_or(0, |counter| counter.get())
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge {
    raw: RawGauge,
}

impl Gauge {
    /// One more.
    pub fn increment(&self) {
        self.raw.inc();
    }

    /// One fewer.
    pub fn decrement(&self) {
        self.raw.dec();
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.raw.get()
    }
}

/// How often which durations occurred, one distribution for each combination of `N` label values.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels<N>, RawHistogram, fn() -> RawHistogram>,
    members: Members<N, RawHistogram>,
}

impl<const N: usize> Histogram<N> {
    /// Records that something took `span`.
    pub fn observe(&self, values: [&str; N], span: std::time::Duration) {
        let make = || self.family.get_or_create_owned(&label(self.labels, values));
        self.members.get(values, make).observe(span.as_secs_f64());
    }
}

/// Everything that one server counts. The names are those of [`metric`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Labels: agent, outcome.
    pub turns: Counter<2>,
    /// Labels: agent.
    pub turn_seconds: Histogram<1>,
    /// Labels: provider, model, outcome.
    pub llm_calls: Counter<3>,
    /// Labels: provider, model.
    pub llm_seconds: Histogram<2>,
    /// Labels: provider, model, kind.
    pub llm_tokens: Counter<3>,
    /// Labels: provider, model.
    pub llm_cost_nano_usd: Counter<2>,
    /// Labels: tool, outcome.
    pub tool_calls: Counter<2>,
    /// Labels: tool.
    pub tool_seconds: Histogram<1>,
    /// Labels: rpc, code.
    pub requests: Counter<2>,
    /// Labels: rpc.
    pub request_seconds: Histogram<1>,
    /// Requests being worked on.
    pub requests_in_flight: Gauge,
    /// Sessions held in memory.
    pub sessions_active: Gauge,
    /// No labels.
    pub store_commits: Counter<0>,
    /// No labels.
    pub commit_waits: Counter<0>,
    /// Labels: kind, outcome.
    pub reloads: Counter<2>,
    /// No labels.
    pub spans_dropped: Counter<0>,
}

impl Metrics {
    /// Every metric at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let of = &mut registry;
        Self {
            turns: counter(of, metric::TURNS, ["agent", "outcome"]),
            turn_seconds: histogram(of, metric::TURN_SECONDS, ["agent"]),
            llm_calls: counter(of, metric::LLM_CALLS, ["provider", "model", "outcome"]),
            llm_seconds: histogram(of, metric::LLM_SECONDS, ["provider", "model"]),
            llm_tokens: counter(of, metric::LLM_TOKENS, ["provider", "model", "kind"]),
            llm_cost_nano_usd: counter(of, metric::LLM_COST, ["provider", "model"]),
            tool_calls: counter(of, metric::TOOL_CALLS, ["tool", "outcome"]),
            tool_seconds: histogram(of, metric::TOOL_SECONDS, ["tool"]),
            requests: counter(of, metric::REQUESTS, ["rpc", "code"]),
            request_seconds: histogram(of, metric::REQUEST_SECONDS, ["rpc"]),
            requests_in_flight: gauge(of, metric::REQUESTS_IN_FLIGHT),
            sessions_active: gauge(of, metric::SESSIONS_ACTIVE),
            store_commits: counter(of, metric::STORE_COMMITS, []),
            commit_waits: counter(of, metric::COMMIT_WAITS, []),
            reloads: counter(of, metric::RELOADS, ["kind", "outcome"]),
            spans_dropped: counter(of, metric::SPANS_DROPPED, []),
            registry,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricsSource for Metrics {
    fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The sentence of `name`, without the full stop that the encoder adds.
fn help(name: &str) -> &'static str {
    let found = metric::ALL.iter().find(|definition: &&Definition| definition.name == name);
    found.map_or("", |definition| definition.help.trim_end_matches('.'))
}

fn counter<const N: usize>(registry: &mut Registry, name: &str, labels: [&'static str; N]) -> Counter<N> {
    let family = Family::default();
    registry.register(name, help(name), family.clone());
    Counter { labels, family, members: Members::default() }
}

fn gauge(registry: &mut Registry, name: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help(name), gauge.raw.clone());
    gauge
}

fn histogram<const N: usize>(registry: &mut Registry, name: &str, labels: [&'static str; N]) -> Histogram<N> {
    let family = Family::new_with_constructor((|| RawHistogram::new(SECONDS)) as fn() -> RawHistogram);
    registry.register(name, help(name), family.clone());
    Histogram { labels, family, members: Members::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.turns.add(["helper", "completed"], 2);
        metrics.turn_seconds.observe(["helper"], Duration::from_millis(300));
        metrics.requests_in_flight.increment();
        metrics.requests_in_flight.increment();
        metrics.requests_in_flight.decrement();
        metrics.spans_dropped.add([], 7);
        let text = metrics.render();
        for line in [
            "# HELP loom_turns Turns ended, by agent and outcome.",
            "# TYPE loom_turns counter",
            "loom_turns_total{agent=\"helper\",outcome=\"completed\"} 2",
            "loom_turn_duration_seconds_bucket{le=\"0.25\",agent=\"helper\"} 0",
            "loom_turn_duration_seconds_bucket{le=\"0.5\",agent=\"helper\"} 1",
            "loom_turn_duration_seconds_sum{agent=\"helper\"} 0.3",
            "loom_requests_in_flight 1",
            "loom_spans_dropped_total{} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(metrics.turns.get(["helper", "completed"]), 2);
        assert_eq!(metrics.turns.get(["helper", "failed"]), 0);
    }

    #[test]
    fn a_hostile_label_value_stays_one_value() {
        let metrics = Metrics::new();
        metrics.tool_calls.add(["a\"} 1\nforged_total{x=\"\\", "ok"], 1);
        let text = metrics.render();
        let line = r#"loom_tool_calls_total{tool="a\"} 1\nforged_total{x=\"\\",outcome="ok"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn two_servers_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.reloads.add(["pattern", "ok"], 1);
        assert_eq!(other.reloads.get(["pattern", "ok"]), 0);
    }
}
