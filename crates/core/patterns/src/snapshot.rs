//! All patterns at one moment.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

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

/// All patterns at one moment. Never changes; a reload makes another.
#[derive(Debug)]
pub struct Snapshot {
    names: BTreeMap<String, usize>,
    ranked: Vec<Entry>,
    index: OnceLock<Index>,
    digest: Digest,
}

/// A pattern with its terms, which are made once for each of its versions, when it is first indexed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) pattern: Arc<Pattern>,
    terms: Arc<OnceLock<PatternTerms>>,
}

impl Entry {
    pub(crate) fn new(pattern: Pattern) -> Self {
        Self { pattern: Arc::new(pattern), terms: Arc::default() }
    }

    fn terms(&self) -> &PatternTerms {
        self.terms.get_or_init(|| PatternTerms::of(&self.pattern))
    }
}

impl Snapshot {
    /// The snapshot of `entries`, whose names differ; `digest` is that of the texts they were read from.
    pub(crate) fn new(mut entries: Vec<Entry>, digest: Digest) -> Self {
        // Search breaks ties by this order: higher priority first, then by name.
        entries.sort_by(|a, b| {
            let by_priority = b.pattern.priority.cmp(&a.pattern.priority);
            by_priority.then_with(|| a.pattern.name.cmp(&b.pattern.name))
        });
        let names = entries.iter().enumerate().map(|(n, entry)| (entry.pattern.name.clone(), n)).collect();
        Self { names, ranked: entries, index: OnceLock::new(), digest }
    }

    /// Makes the index that [`search`](Self::search) needs, so that the first search does not have to.
    pub fn prepare(&self) {
        self.index();
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let terms: Vec<_> = self.ranked.iter().map(Entry::terms).collect();
            Index::build(&terms)
        })
    }

    /// The pattern of exactly that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Pattern>> {
        self.at(*self.names.get(name)?)
    }

    /// All patterns, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pattern>> {
        self.names.values().filter_map(|number| self.at(*number))
    }

    fn at(&self, number: usize) -> Option<&Arc<Pattern>> {
        self.ranked.get(number).map(|entry| &entry.pattern)
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
        let hits = self.index().search(question).into_iter().take(limit);
        hits.filter_map(|hit| {
            let pattern = Arc::clone(self.at(hit.document)?);
            Some(Match { pattern, score: hit.score, confidence: hit.confidence })
        })
        .collect()
    }
}
