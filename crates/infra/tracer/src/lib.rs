//! Decides where `tracing` goes: spans to the store of the server they belong to, log lines to standard error.
//!
//! It never installs a subscriber: that is the process's, and the binary's to do. Everything that passes is redacted.

mod embedded;
mod fields;
mod line;
mod log;

pub use embedded::{EmbeddedLayer, Spans, embedded};
pub use log::{LogFormat, log_layer, log_layer_to};
