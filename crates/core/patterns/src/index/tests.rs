//! How the search ranks, and what its confidence is worth.

use super::*;
use crate::parse;
use proptest::prelude::*;

fn index(patterns: &[(&str, &str)]) -> Index {
    let terms: Vec<_> = patterns
        .iter()
        .map(|(title, intent)| {
            let text = format!("name: x\ntitle: '{title}'\nintents: ['{intent}']\n");
            PatternTerms::of(&parse("a/x.yaml", &text).unwrap()[0])
        })
        .collect();
    Index::build(&terms.iter().collect::<Vec<_>>())
}

fn shop() -> Index {
    index(&[
        ("Top customers", "who are the best customers by spend"),
        ("Number of rows", "how many customers are there"),
        ("Trend by month", "sales by month"),
        ("Duplicate values", "are there duplicates"),
    ])
}

#[test]
fn the_covered_question_wins_and_word_order_helps() {
    let hits = shop().search("how many products are there");
    assert_eq!(hits[0].document, 1);
    let best = |question: &str| shop().search(question).first().map(|hit| (hit.document, hit.confidence));
    let (document, ordered) = best("sales by month").unwrap();
    let (_, shuffled) = best("month by sales").unwrap();
    assert_eq!(document, 2);
    assert!(ordered > shuffled, "{ordered} {shuffled}");
}

#[test]
fn confidence_falls_with_what_is_not_covered() {
    let top = |question: &str| shop().search(question).first().map_or(0.0, |hit| hit.confidence);
    let covered = top("duplicate values");
    let diluted = top("duplicate values weather paris tomorrow poem");
    let drowned = top(
        "duplicate values weather paris tomorrow poem flight rome sentence french boss ill bicycle cup won",
    );
    assert!(covered > diluted && diluted > drowned, "{covered} {diluted} {drowned}");
    assert!(covered > 0.6 && drowned < 0.35, "{covered} {drowned}");
    assert!(top("weather in paris").abs() < f64::EPSILON);
    assert!(Index::default().search("anything").is_empty());
}

#[test]
fn a_title_outranks_a_mention() {
    let hits = index(&[("Other", "median"), ("Median", "other")]).search("median");
    assert_eq!(hits[0].document, 1);
}

proptest! {
    #[test]
    fn search_is_total_bounded_and_ordered(question in "(how |many |customers |month |duplicates |[a-zé0-9#' ]{0,9}){0,40}") {
        let hits = shop().search(&question);
        prop_assert!(hits.iter().all(|hit| (0.0..1.0).contains(&hit.confidence) && hit.score > 0.0));
        prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        prop_assert!(hits.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence));
        prop_assert_eq!(&hits, &shop().search(&question), "the same each time");
    }

    #[test]
    fn any_text_can_be_asked(question in any::<String>()) {
        let hits = shop().search(&question);
        prop_assert!(hits.len() <= 4);
    }
}
