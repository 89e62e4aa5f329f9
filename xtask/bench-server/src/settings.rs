//! What the harness can set, at the start and later.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

/// Agents at most.
pub(crate) const MOST_AGENTS: usize = 1_000;

/// How the model behaves, and how many agents there are.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many agents there are
    #[arg(long, default_value_t = 1)]
    pub(crate) num_agents: usize,
    /// Time until a model call is accepted, as `20ms` or `1s`
    #[arg(long, default_value = "1ms", value_parser = duration)]
    pub(crate) llm_latency: Duration,
    /// Up to this much more
    #[arg(long, default_value = "0ms", value_parser = duration)]
    pub(crate) llm_jitter: Duration,
    /// The share of model calls that fail, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub(crate) llm_error_rate: f64,
    /// Model calls at the same time at most
    #[arg(long, default_value_t = 10_000)]
    pub(crate) llm_concurrency_limit: usize,
    /// Characters of a piece of text
    #[arg(long, default_value_t = 10)]
    pub(crate) stream_chunk_size: usize,
    /// Time between two pieces
    #[arg(long, default_value = "5ms", value_parser = duration)]
    pub(crate) stream_chunk_delay: Duration,
}

/// The body of `POST /reconfigure`: what is not given stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    llm_latency_ms: Option<u64>,
    llm_jitter_ms: Option<u64>,
    llm_error_rate: Option<f64>,
    num_agents: Option<usize>,
    llm_concurrency_limit: Option<usize>,
    stream_chunk_size: Option<usize>,
    stream_chunk_delay_ms: Option<u64>,
}

impl Settings {
    /// These with what `change` gives.
    pub(crate) fn changed(self, change: &Change) -> Result<Self> {
        let millis = |given: Option<u64>, now| given.map_or(now, Duration::from_millis);
        let changed = Self {
            num_agents: change.num_agents.unwrap_or(self.num_agents),
            llm_latency: millis(change.llm_latency_ms, self.llm_latency),
            llm_jitter: millis(change.llm_jitter_ms, self.llm_jitter),
            llm_error_rate: change.llm_error_rate.unwrap_or(self.llm_error_rate),
            llm_concurrency_limit: change.llm_concurrency_limit.unwrap_or(self.llm_concurrency_limit),
            stream_chunk_size: change.stream_chunk_size.unwrap_or(self.stream_chunk_size),
            stream_chunk_delay: millis(change.stream_chunk_delay_ms, self.stream_chunk_delay),
        };
        changed.check()?;
        Ok(changed)
    }

    /// Whether it can be done.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((1..=MOST_AGENTS).contains(&self.num_agents), "num_agents is from 1 to {MOST_AGENTS}");
        ensure!((0.0..=1.0).contains(&self.llm_error_rate), "llm_error_rate is from 0 to 1");
        ensure!(self.llm_concurrency_limit > 0, "llm_concurrency_limit is at least 1");
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    match (number.parse(), unit) {
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => bail!("{text:?} is no time such as 20ms or 1s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        num_agents: 1,
        llm_latency: Duration::from_millis(1),
        llm_jitter: Duration::ZERO,
        llm_error_rate: 0.0,
        llm_concurrency_limit: 10,
        stream_chunk_size: 10,
        stream_chunk_delay: Duration::from_millis(5),
    };

    #[test]
    fn a_change_changes_what_it_names_and_nothing_else() {
        let change = serde_json::from_str(r#"{"llm_latency_ms": 20, "num_agents": 5}"#).unwrap();
        let changed = SETTINGS.changed(&change).unwrap();
        assert_eq!((changed.llm_latency, changed.num_agents), (Duration::from_millis(20), 5));
        assert_eq!((changed.stream_chunk_size, changed.llm_concurrency_limit), (10, 10));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for bad in [r#"{"num_agents": 0}"#, r#"{"num_agents": 1001}"#, r#"{"llm_error_rate": 2}"#] {
            assert!(SETTINGS.changed(&serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Change>(r#"{"latency": 1}"#).is_err());
        assert_eq!(duration("2s").unwrap(), Duration::from_secs(2));
        assert!(duration("2").is_err() && duration("ms").is_err());
    }
}
