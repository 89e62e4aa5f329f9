//! Windows and prices of models: data that a user can override.

use std::collections::BTreeMap;

use loom_base::NanoUsd;

use crate::Usage;

/// Prices for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Read at full price.
    pub input: NanoUsd,
    /// Generated.
    pub output: NanoUsd,
    /// Read from the cache.
    pub cache_read: NanoUsd,
    /// Written to the cache.
    pub cache_write: NanoUsd,
}

impl Prices {
    /// What `usage` costs.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        NanoUsd::for_tokens(self.input, usage.input)
            + NanoUsd::for_tokens(self.output, usage.output)
            + NanoUsd::for_tokens(self.cache_read, usage.cache_read)
            + NanoUsd::for_tokens(self.cache_write, usage.cache_write)
    }
}

/// What is known of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Tokens it can read and write in one call.
    pub context_window: u64,
    /// Tokens it can write in one call.
    pub max_output: u32,
    /// What it costs; `None` when unknown, and then a cost is reported as unknown, never guessed.
    pub prices: Option<Prices>,
}

/// What an unknown model is taken to be able to do: little, and at no known price.
const UNKNOWN: ModelInfo = ModelInfo { context_window: 32_768, max_output: 4_096, prices: None };

/// Known models by provider and model name. A name ending in `*` stands for all that begin so.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    models: BTreeMap<(String, String), ModelInfo>,
}

/// Dollars are given in thousandths for a million tokens to keep the table free of fractions.
const BUILT_IN: &[(&str, &str, u64, u32, [i64; 4])] = &[
    // provider, model prefix, window, max output, thousandths per million: input, output, cache read, cache write.
    // Published list prices. Those of `mock` are its own and no model's: what a script costs can be told beforehand.
    ("anthropic", "claude-opus-4*", 200_000, 32_000, [15_000, 75_000, 1_500, 18_750]),
    ("anthropic", "claude-opus-4-5*", 200_000, 64_000, [5_000, 25_000, 500, 6_250]),
    ("anthropic", "claude-sonnet-4*", 200_000, 64_000, [3_000, 15_000, 300, 3_750]),
    ("anthropic", "claude-haiku-4*", 200_000, 64_000, [1_000, 5_000, 100, 1_250]),
    ("anthropic", "claude-3-5-haiku*", 200_000, 8_192, [800, 4_000, 80, 1_000]),
    ("openai", "gpt-4.1*", 1_047_576, 32_768, [2_000, 8_000, 500, 0]),
    ("openai", "gpt-4.1-mini*", 1_047_576, 32_768, [400, 1_600, 100, 0]),
    ("openai", "gpt-4.1-nano*", 1_047_576, 32_768, [100, 400, 25, 0]),
    ("openai", "gpt-4o*", 128_000, 16_384, [2_500, 10_000, 1_250, 0]),
    ("openai", "gpt-4o-mini*", 128_000, 16_384, [150, 600, 75, 0]),
    // Those whose price rises beyond 200,000 tokens are taken to have that window, so that the price is right.
    ("gemini", "gemini-3.5-flash*", 1_048_576, 65_536, [1_500, 9_000, 150, 0]),
    ("gemini", "gemini-3.1-pro*", 200_000, 65_536, [2_000, 12_000, 200, 0]),
    ("gemini", "gemini-3.1-flash-lite*", 1_048_576, 65_536, [250, 1_500, 25, 0]),
    ("gemini", "gemini-3-pro*", 200_000, 65_536, [2_000, 12_000, 200, 0]),
    ("gemini", "gemini-3-flash*", 1_048_576, 65_536, [500, 3_000, 50, 0]),
    ("gemini", "gemini-2.5-pro*", 200_000, 65_536, [1_250, 10_000, 125, 0]),
    ("gemini", "gemini-2.5-flash*", 1_048_576, 65_536, [300, 2_500, 30, 0]),
    ("gemini", "gemini-2.5-flash-lite*", 1_048_576, 65_536, [100, 400, 10, 0]),
    ("mock", "*", 200_000, 8_192, [1_000, 2_000, 100, 1_250]),
    ("offline", "*", 200_000, 8_192, [0, 0, 0, 0]),
];

impl Catalog {
    /// The models known when this version was made.
    pub fn built_in() -> Self {
        let dollars = |thousandths: i64| NanoUsd::from_nanos(thousandths * 1_000_000);
        let entry =
            |&(provider, model, context_window, max_output, prices): &(&str, &str, u64, u32, [i64; 4])| {
                let [input, output, cache_read, cache_write] = prices.map(dollars);
                let prices = Some(Prices { input, output, cache_read, cache_write });
                ((provider.to_owned(), model.to_owned()), ModelInfo { context_window, max_output, prices })
            };
        Self { models: BUILT_IN.iter().map(entry).collect() }
    }

    /// Adds or replaces what is known of `model` at `provider`.
    pub fn insert(&mut self, provider: impl Into<String>, model: impl Into<String>, info: ModelInfo) {
        self.models.insert((provider.into(), model.into()), info);
    }

    /// What is known of `model` at `provider`: the exact name, else the longest prefix, else a cautious guess with no
    /// price.
    pub fn get(&self, provider: &str, model: &str) -> ModelInfo {
        let matches = |(known_provider, pattern): &(String, String)| {
            known_provider == provider
                && match pattern.strip_suffix('*') {
                    Some(prefix) => model.starts_with(prefix),
                    None => pattern == model,
                }
        };
        let rank = |pattern: &str| (!pattern.ends_with('*'), pattern.len());
        self.models
            .iter()
            .filter(|(key, _)| matches(key))
            .max_by_key(|((_, pattern), _)| rank(pattern))
            .map_or(UNKNOWN, |(_, info)| *info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_an_override_beats_it() {
        let mut catalog = Catalog::built_in();
        let mini = catalog.get("openai", "gpt-4.1-mini-2025-04-14");
        assert_eq!(mini.prices.unwrap().input, NanoUsd::from_nanos(400_000_000));
        catalog.insert("openai", "gpt-4.1-mini-2025-04-14", ModelInfo { prices: None, ..mini });
        assert_eq!(catalog.get("openai", "gpt-4.1-mini-2025-04-14").prices, None);
        assert_eq!(catalog.get("openai", "llama3").prices, None);
    }

    #[test]
    fn a_cost_sums_all_four_counts() {
        let prices = Catalog::built_in().get("anthropic", "claude-sonnet-4-5").prices.unwrap();
        let usage = Usage { input: 1_000, output: 100, cache_read: 10_000, cache_write: 0 };
        assert_eq!(prices.cost(&usage), NanoUsd::from_nanos(3_000_000 + 1_500_000 + 3_000_000));
    }
}
