//! Kernel: what is put beside a message when it is sent, and stored as sent.
//!
//! It goes beside the newest message, not into the prefix, so that the prefix stays the same bytes from turn to turn.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use loom_llm::{ContentBlock, estimate_text};

/// Something worth knowing in every turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about.
    pub key: String,
    /// What is known.
    pub value: String,
}

/// The blocks that go beside a message: facts, the caller's context, the recommended pattern. Facts are cut at
/// `budget` tokens, the most important first; what the caller gave for this very message is never cut.
pub fn beside(
    facts: &[Fact],
    context: &BTreeMap<String, String>,
    pattern: Option<&str>,
    budget: u64,
) -> Vec<ContentBlock> {
    let mut blocks = Vec::new();
    let mut known = String::new();
    for fact in facts {
        let line = format!("- {}: {}\n", fact.key, fact.value);
        if estimate_text(&known) + estimate_text(&line) > budget {
            break;
        }
        known.push_str(&line);
    }
    if !known.is_empty() {
        blocks.push(ContentBlock::text(format!("Known facts:\n{known}")));
    }
    if !context.is_empty() {
        let mut given = String::from("Context given with this message:\n");
        for (key, value) in context {
            // Writing to a String cannot fail.
            let _ = writeln!(given, "- {key}: {value}");
        }
        blocks.push(ContentBlock::text(given));
    }
    blocks.extend(pattern.map(ContentBlock::text));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stop_at_the_budget_and_what_was_given_stays() {
        let fact = |key: &str| Fact { key: key.into(), value: "v".repeat(30) };
        let context = BTreeMap::from([("locale".to_owned(), "de".to_owned())]);
        let blocks = beside(&[fact("a"), fact("b")], &context, Some("pattern"), 15);
        let texts: Vec<_> = blocks.iter().filter_map(ContentBlock::as_text).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].contains("- a:") && !texts[0].contains("- b:"));
        assert!(texts[1].contains("locale: de"));
        assert!(beside(&[], &BTreeMap::new(), None, 10).is_empty());
    }
}
