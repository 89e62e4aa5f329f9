//! The ranked search: BM25F over the fields of patterns (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
//! BM25 and Beyond", 2009, §3.6), and what its scores are worth.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::Pattern;
use crate::terms::terms;

/// How fast more weight of a term stops to matter: higher than the usual 1.2, so that a word in a title stays worth more
/// than one that an example question happens to use.
const K1: f64 = 2.0;
/// How much a field longer than usual weighs less; low, as patterns list many short sentences.
const B: f64 = 0.4;
/// What a pair of words counts against a single one: it repeats what its words said, but in order.
const PAIR_WEIGHT: f64 = 0.6;
/// What a word that no pattern has counts in the best possible score, against the rarest word that one has. Such words
/// mostly name the user's own data, so they speak against a match less than they would in prose.
const UNKNOWN_WEIGHT: f64 = 0.25;
/// The share of the best possible score that makes a match half covered. Chosen, as the next, so that the labelled
/// questions with and without an answer lie far apart.
const EVEN_SHARE: f64 = 0.38;
/// How steeply confidence rises around [`EVEN_SHARE`].
const STEEPNESS: i32 = 3;
/// The score that makes a match half founded: about that of one rare word in one field.
const EVEN_SCORE: f64 = 0.8;
/// Questions longer than this many terms are cut; beyond it search would only get slower.
const MAX_QUESTION_TERMS: usize = 256;

/// The fields and their weights: what users say outranks what authors say about it.
const FIELDS: [(Field, f64); 6] = [
    (|pattern| vec![&pattern.name], 3.0),
    (|pattern| vec![&pattern.title], 3.0),
    (|pattern| vec![&pattern.description], 1.0),
    (|pattern| pattern.use_cases.iter().map(String::as_str).collect(), 1.0),
    (|pattern| pattern.intents.iter().map(String::as_str).collect(), 2.5),
    (|pattern| pattern.tags.iter().map(String::as_str).collect(), 3.0),
];

type Field = for<'a> fn(&'a Pattern) -> Vec<&'a str>;

/// How often each term stands in each field of one pattern. Made once for each version of a pattern.
#[derive(Debug, Default)]
pub(crate) struct PatternTerms {
    counts: Vec<(Arc<str>, [f64; FIELDS.len()])>,
    /// The words of each field.
    lengths: [f64; FIELDS.len()],
}

impl PatternTerms {
    pub(crate) fn of(pattern: &Pattern) -> Self {
        let mut counts: HashMap<String, [f64; FIELDS.len()]> = HashMap::new();
        let mut lengths = [0.0; FIELDS.len()];
        for (number, ((field, _), length)) in FIELDS.iter().zip(&mut lengths).enumerate() {
            for sentence in field(pattern) {
                let mut count = |term| counts.entry(term).or_default()[number] += 1.0;
                let terms = terms(sentence);
                for word in terms.words {
                    *length += 1.0;
                    count(word);
                }
                terms.pairs.into_iter().for_each(count);
            }
        }
        Self { counts: counts.into_iter().map(|(term, counts)| (term.into(), counts)).collect(), lengths }
    }
}

/// A pattern's place in the index, with its score and the confidence that it answers the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) document: usize,
    pub(crate) score: f64,
    pub(crate) confidence: f64,
}

/// An inverted index: for each term, how much it is worth in each pattern that has it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    postings: HashMap<Arc<str>, Posting>,
    /// The worth of the rarest term there can be.
    rarest: f64,
}

#[derive(Debug, Default)]
struct Posting {
    /// (pattern, inverse document frequency × saturated weighted frequency)
    worths: Vec<(usize, f64)>,
    best: f64,
}

impl Index {
    /// The index of patterns whose terms are `documents`.
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 patterns")]
    pub(crate) fn build(documents: &[Arc<PatternTerms>]) -> Self {
        let total = documents.len() as f64;
        let mut average = [0.0; FIELDS.len()];
        for document in documents {
            for (average, length) in average.iter_mut().zip(document.lengths) {
                *average += length / total;
            }
        }
        let mut postings: HashMap<Arc<str>, Posting> = HashMap::new();
        for (number, document) in documents.iter().enumerate() {
            let mut weights = FIELDS.map(|(_, weight)| weight);
            for ((weight, length), average) in weights.iter_mut().zip(document.lengths).zip(average) {
                *weight /= 1.0 - B + B * length / average.max(1.0);
            }
            for (term, counts) in &document.counts {
                let frequency: f64 = counts.iter().zip(weights).map(|(count, weight)| count * weight).sum();
                if let Some(posting) = postings.get_mut(term) {
                    posting.worths.push((number, frequency));
                } else {
                    let posting = Posting { worths: vec![(number, frequency)], best: 0.0 };
                    postings.insert(Arc::clone(term), posting);
                }
            }
        }
        for (term, posting) in &mut postings {
            let weight = if term.contains(' ') { PAIR_WEIGHT } else { 1.0 };
            let idf = weight * inverse_document_frequency(total, posting.worths.len() as f64);
            for (_, worth) in &mut posting.worths {
                *worth = idf * *worth / (K1 + *worth);
                posting.best = posting.best.max(*worth);
            }
        }
        Self { postings, rarest: inverse_document_frequency(total, 1.0) }
    }

    /// The patterns that share a term with `question`, best first; equal ones in the order they were indexed.
    ///
    /// Confidence is `r³ / (r³ + EVEN_SHARE³) × s / (s + EVEN_SCORE)`, where `s` is the score and `r` the share of
    /// the best possible score that it reaches: the score of an imagined pattern that is, for every word and known
    /// pair of the question, as good as the best real one, where words no pattern has count [`UNKNOWN_WEIGHT`]. The
    /// first factor says how much of the question the pattern covers, the second how much there was to cover. Both are
    /// below 1.
    pub(crate) fn search(&self, question: &str) -> Vec<Hit> {
        let terms = terms(question);
        let words: BTreeSet<&String> = terms.words.iter().take(MAX_QUESTION_TERMS).collect();
        let pairs: BTreeSet<&String> = terms.pairs.iter().take(MAX_QUESTION_TERMS).collect();
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        let mut best_possible = 0.0;
        for term in words.iter().chain(&pairs) {
            if let Some(posting) = self.postings.get(term.as_str()) {
                best_possible += posting.best;
                for (document, worth) in &posting.worths {
                    *scores.entry(*document).or_default() += worth;
                }
            } else if !term.contains(' ') {
                best_possible += UNKNOWN_WEIGHT * self.rarest;
            }
        }
        let mut hits: Vec<Hit> = scores
            .into_iter()
            .map(|(document, score)| Hit { document, score, confidence: confidence(score, best_possible) })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.document.cmp(&b.document)));
        hits
    }
}

/// Robertson and Spärck Jones' weight in the form that is never negative.
fn inverse_document_frequency(total: f64, with_term: f64) -> f64 {
    (1.0 + (total - with_term + 0.5) / (with_term + 0.5)).ln()
}

fn confidence(score: f64, best_possible: f64) -> f64 {
    if best_possible <= 0.0 {
        return 0.0;
    }
    let share = (score / best_possible).clamp(0.0, 1.0).powi(STEEPNESS);
    let coverage = share / (share + EVEN_SHARE.powi(STEEPNESS));
    let evidence = score / (score + EVEN_SCORE);
    (coverage * evidence).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
