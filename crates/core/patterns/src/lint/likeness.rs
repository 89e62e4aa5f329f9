//! Patterns that would be mistaken for one another.

use std::collections::BTreeSet;

use super::Notes;
use crate::terms::{Term, terms};
use crate::{Pattern, Snapshot};

/// From which share of common terms two patterns say the same.
const SAME_SHARE: f64 = 0.7;
/// How many of the first matches are looked at.
const LOOKED_AT: usize = 8;

pub(super) fn check(pattern: &Pattern, patterns: &Snapshot, notes: &mut Notes<'_>) {
    let mut twins = BTreeSet::new();
    for intent in &pattern.intents {
        let found = patterns.search(intent, LOOKED_AT);
        let same_question = |other: &&Pattern| {
            other.name != pattern.name && other.intents.iter().any(|theirs| normal(theirs) == normal(intent))
        };
        let others: Vec<&Pattern> = found.iter().map(|found| &*found.pattern).collect();
        if let Some(other) = others.iter().copied().find(same_question) {
            let message =
                format!("`{}` answers \"{intent}\" too: which of them is meant is chance", other.name);
            notes.add("ambiguous-intent", "intents", message);
        } else if let Some(first) = others.first().filter(|first| first.name != pattern.name) {
            let is_close = found.iter().skip(1).take(2).any(|next| next.pattern.name == pattern.name);
            if !is_close {
                let message = format!(
                    "\"{intent}\" finds `{}` first, and this pattern not among the next two",
                    first.name
                );
                notes.add("lost-intent", "intents", message);
            }
        }
        twins
            .extend(others.iter().filter(|other| other.name != pattern.name).map(|other| other.name.clone()));
    }
    let own = essence(pattern);
    for name in twins {
        let Some(other) = patterns.get(&name) else { continue };
        if alike(&own, &essence(other)) || same_template(pattern, other) {
            let message =
                format!("it says almost the same as `{name}`: keep one, or say in both what sets them apart");
            notes.add("near-duplicate", "name", message);
        }
    }
}

fn normal(question: &str) -> BTreeSet<Term> {
    let mut all = BTreeSet::new();
    terms(question, |term| {
        all.insert(term);
    });
    all
}

/// The words of its title, description and questions.
fn essence(pattern: &Pattern) -> BTreeSet<Term> {
    let mut all = normal(&pattern.title);
    for text in std::iter::once(&pattern.description).chain(&pattern.intents) {
        terms(text, |term| {
            if !term.is_pair() {
                all.insert(term);
            }
        });
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "a pattern has far fewer than 2^52 words")]
fn alike(one: &BTreeSet<Term>, other: &BTreeSet<Term>) -> bool {
    let common = one.intersection(other).count() as f64;
    let all = one.union(other).count().max(1) as f64;
    common / all >= SAME_SHARE
}

fn same_template(one: &Pattern, other: &Pattern) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let runs = |pattern: &Pattern| -> BTreeSet<String> {
        let runnable = pattern.templates.values().filter(|template| template.executable().is_ok());
        runnable.map(|template| squeezed(&template.content)).collect()
    };
    !runs(one).is_disjoint(&runs(other))
}
