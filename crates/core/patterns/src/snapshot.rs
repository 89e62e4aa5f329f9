//! All patterns at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use loom_base::Digest;

use crate::Pattern;
use crate::index::{Index, PatternTerms};

/// The confidence from which a pattern is worth showing unasked. On the labelled questions of our own libraries those
/// that nothing answers stay below 0.36 and right matches begin at 0.46; this lies between, nearer to the right ones, as
/// a pattern that does not fit misleads while a missing one can still be searched for.
pub const DEFAULT_MIN_CONFIDENCE: f64 = 0.45;

/// A pattern that fits a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The pattern.
    pub pattern: Arc<Pattern>,
    /// Its BM25 score; comparable only within one search.
    pub score: f64,
    /// How sure it is that the pattern answers the question, in 0..1; comparable between searches.
    pub confidence: f64,
}

/// All patterns at one moment, indexed. Never changes; a reload makes another.
#[derive(Debug)]
pub struct Snapshot {
    patterns: BTreeMap<String, usize>,
    ranked: Vec<Arc<Pattern>>,
    index: Index,
    digest: Digest,
}

/// A pattern with its terms, which are made once for each of its versions.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    pub(crate) pattern: Arc<Pattern>,
    pub(crate) terms: Arc<PatternTerms>,
}

impl Indexed {
    pub(crate) fn new(pattern: Pattern) -> Self {
        let terms = Arc::new(PatternTerms::of(&pattern));
        Self { pattern: Arc::new(pattern), terms }
    }
}

impl Snapshot {
    /// The snapshot of `entries`, whose names differ; `digest` is that of the texts they were read from.
    pub(crate) fn new(mut entries: Vec<Indexed>, digest: Digest) -> Self {
        // Search breaks ties by this order: higher priority first, then by name.
        entries.sort_by(|a, b| {
            let by_priority = b.pattern.priority.cmp(&a.pattern.priority);
            by_priority.then_with(|| a.pattern.name.cmp(&b.pattern.name))
        });
        let terms: Vec<_> = entries.iter().map(|entry| Arc::clone(&entry.terms)).collect();
        let ranked: Vec<_> = entries.into_iter().map(|entry| entry.pattern).collect();
        let patterns = ranked.iter().enumerate().map(|(n, pattern)| (pattern.name.clone(), n)).collect();
        Self { patterns, ranked, index: Index::build(&terms), digest }
    }

    /// The pattern of exactly that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Pattern>> {
        self.patterns.get(name).and_then(|number| self.ranked.get(*number))
    }

    /// All patterns, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pattern>> {
        self.patterns.values().filter_map(|number| self.ranked.get(*number))
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// What the patterns were read from; equal digests mean equal patterns.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The patterns that fit `question`, best first, at most `limit`.
    ///
    /// Ranked by BM25 over name, title, description, use cases, intents and tags, with the terms lightly stemmed.
    /// Confidence grows with the share of the question's terms that the pattern covers, weighted by how telling they
    /// are, and with how much there was to cover; it is near 0 when no pattern fits and below 1 always.
    pub fn search(&self, question: &str, limit: usize) -> Vec<Match> {
        let hits = self.index.search(question).into_iter().take(limit);
        hits.filter_map(|hit| {
            let pattern = Arc::clone(self.ranked.get(hit.document)?);
            Some(Match { pattern, score: hit.score, confidence: hit.confidence })
        })
        .collect()
    }
}
