//! What Loom says about its own work: the names of spans, attributes and metrics, the metrics themselves, and the
//! redaction that every log, span and error text passes.
//!
//! It never sends anything anywhere and holds no globals: whoever composes a server makes its [`Metrics`] and passes
//! them on.

mod control;
mod metrics;
mod names;
mod redaction;

pub use control::{TraceControl, TraceLevelError};
pub use metrics::{CONTENT_TYPE, Counter, Gauge, Histogram, Metrics, MetricsSource};
pub use names::{Definition, attribute, log, metric, span};
pub use redaction::{is_secret_name, redact, redact_json};
