//! The ranked search: BM25F over the fields of patterns (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
//! BM25 and Beyond", 2009, §3.6), and what its scores are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::Pattern;
use crate::terms::{Term, terms};

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
    /// Sorted by term.
    counts: Vec<(Term, [u32; FIELDS.len()])>,
    /// The words of each field.
    lengths: [u32; FIELDS.len()],
}

impl PatternTerms {
    pub(crate) fn of(pattern: &Pattern) -> Self {
        let mut found = Vec::new();
        for (number, (field, _)) in FIELDS.iter().enumerate() {
            for sentence in field(pattern) {
                terms(sentence, |term| found.push((term, number)));
            }
        }
        found.sort_unstable();
        let mut result = Self::default();
        for same in found.chunk_by(|a, b| a.0 == b.0) {
            let mut counts = [0; FIELDS.len()];
            for (term, number) in same {
                counts[*number] += 1;
                result.lengths[*number] += u32::from(!term.is_pair());
            }
            result.counts.push((same[0].0, counts));
        }
        result
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
    /// Sorted by term.
    postings: Vec<Posting>,
    /// (pattern, inverse document frequency × saturated weighted frequency), those of one term side by side.
    worths: Vec<(usize, f64)>,
    /// The worth of the rarest term there can be.
    rarest: f64,
}

#[derive(Debug)]
struct Posting {
    term: Term,
    /// Where in the worths its own are.
    place: Range<usize>,
    best: f64,
}

impl Index {
    /// The index of patterns whose terms are `documents`.
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 patterns")]
    pub(crate) fn build(documents: &[&PatternTerms]) -> Self {
        let total = documents.len() as f64;
        let frequencies = frequencies(documents);
        let mut worths = Vec::with_capacity(frequencies.len());
        let mut postings = Vec::new();
        for same in frequencies.chunk_by(|a, b| a.0 == b.0) {
            let (term, ..) = same[0];
            let weight = if term.is_pair() { PAIR_WEIGHT } else { 1.0 };
            let idf = weight * inverse_document_frequency(total, same.len() as f64);
            let begin = worths.len();
            worths.extend(
                same.iter().map(|(_, document, frequency)| (*document, idf * frequency / (K1 + frequency))),
            );
            let best = worths[begin..].iter().fold(0.0, |best: f64, (_, worth)| best.max(*worth));
            postings.push(Posting { term, place: begin..worths.len(), best });
        }
        Self { postings, worths, rarest: inverse_document_frequency(total, 1.0) }
    }

    /// What the index knows of `term`, and its worths.
    fn posting(&self, term: Term) -> Option<(&Posting, &[(usize, f64)])> {
        let place = self.postings.binary_search_by_key(&term, |posting| posting.term).ok()?;
        let posting = self.postings.get(place)?;
        Some((posting, self.worths.get(posting.place.clone())?))
    }

    /// The patterns that share a term with `question`, best first; equal ones in the order they were indexed.
    ///
    /// Confidence is `r³ / (r³ + EVEN_SHARE³) × s / (s + EVEN_SCORE)`, where `s` is the score and `r` the share of
    /// the best possible score that it reaches: the score of an imagined pattern that is, for every word and known
    /// pair of the question, as good as the best real one, where words no pattern has count [`UNKNOWN_WEIGHT`]. The
    /// first factor says how much of the question the pattern covers, the second how much there was to cover. Both are
    /// below 1.
    pub(crate) fn search(&self, question: &str) -> Vec<Hit> {
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        let mut best_possible = 0.0;
        for term in question_terms(question) {
            if let Some((posting, worths)) = self.posting(term) {
                best_possible += posting.best;
                for (document, worth) in worths {
                    *scores.entry(*document).or_default() += worth;
                }
            } else if !term.is_pair() {
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

/// For each term of each of `documents` its weighted frequency there, by term and then by document.
#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 patterns")]
fn frequencies(documents: &[&PatternTerms]) -> Vec<(Term, usize, f64)> {
    let total = documents.len() as f64;
    let mut average = [0.0; FIELDS.len()];
    for document in documents {
        for (average, length) in average.iter_mut().zip(document.lengths) {
            *average += f64::from(length) / total;
        }
    }
    let mut all = Vec::with_capacity(documents.iter().map(|document| document.counts.len()).sum());
    for (number, document) in documents.iter().enumerate() {
        let mut weights = FIELDS.map(|(_, weight)| weight);
        for ((weight, length), average) in weights.iter_mut().zip(document.lengths).zip(average) {
            *weight /= 1.0 - B + B * f64::from(length) / average.max(1.0);
        }
        let frequency = |counts: &[u32; FIELDS.len()]| -> f64 {
            counts.iter().zip(weights).map(|(count, weight)| f64::from(*count) * weight).sum()
        };
        all.extend(document.counts.iter().map(|(term, counts)| (*term, number, frequency(counts))));
    }
    // Stable: it keeps the documents in order, and merges their sorted terms sooner than it would sort them.
    all.sort_by_key(|(term, ..)| *term);
    all
}

/// The words and the pairs of `question`, each once.
fn question_terms(question: &str) -> BTreeSet<Term> {
    let (mut words, mut pairs) = (0, 0);
    let mut kept = BTreeSet::new();
    terms(question, |term| {
        let seen = if term.is_pair() { &mut pairs } else { &mut words };
        *seen += 1;
        if *seen <= MAX_QUESTION_TERMS {
            kept.insert(term);
        }
    });
    kept
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
