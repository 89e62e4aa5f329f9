//! The right pattern is found for questions that were not written into it, and none for questions nothing answers.

use loom_patterns::DEFAULT_MIN_CONFIDENCE;

use crate::library::snapshot;

/// Questions on databases of several kinds, each with the patterns that answer it; none when nothing does.
const LABELLED: &[(&str, &[&str])] = &[
    ("Who are our five most valuable customers by money spent?", &["top_by_total"]),
    ("Top 10 suppliers by total order amount", &["top_by_total"]),
    ("Which albums earn the highest revenue?", &["top_by_total"]),
    ("Which sales rep looks after the most accounts?", &["top_by_count"]),
    ("Which author has written the most books?", &["top_by_count"]),
    ("How many patients are registered?", &["count_rows"]),
    ("How many flights do we have?", &["count_rows"]),
    ("How many tickets per department?", &["count_by_group"]),
    ("What is the average salary?", &["measure_summary"]),
    ("Average delivery cost by region", &["summary_by_group", "top_by_average"]),
    ("What are the distinct values of the shipping method?", &["distribution"]),
    ("Show me the latest payments", &["recent_rows"]),
    ("Find all employees from Canada", &["filter_by_value"]),
    ("Do we have duplicate phone numbers?", &["duplicates"]),
    ("How many users have no phone number?", &["null_profile"]),
    ("Which suppliers never delivered anything, without any deliveries?", &["missing_related_rows"]),
    ("Are there any outliers in the shipping costs?", &["outliers"]),
    ("Revenue by month", &["trend_by_month"]),
    ("How did bookings develop over time?", &["trend_by_month", "rows_by_month"]),
    ("Yearly income", &["trend_by_year"]),
    ("What percentage of donations comes from each city?", &["share_of_total"]),
    ("Month over month growth of subscriptions", &["period_change"]),
    ("Cumulative donations over the months", &["running_total"]),
    ("Top 3 players in each team", &["rank_within_group"]),
    ("Which products sold the least?", &["bottom_by_total"]),
    ("Which Postgres tables take the most disk space?", &["table_sizes"]),
    ("Which indexes are never used?", &["unused_indexes"]),
    ("Top 5 best-selling artists", &["top_by_total"]),
    ("Which media type is sold most often?", &["top_by_total", "top_by_count"]),
    ("What is our most expensive spare part?", &["highest_values"]),
    ("Which room has the lowest rate?", &["lowest_values"]),
    ("Who are the newest employees?", &["recent_rows"]),
    ("Sales per country in percent", &["share_of_total", "summary_by_group"]),
    ("How many invoices were written each month?", &["rows_by_month"]),
    ("Which playlists contain the most tracks?", &["top_by_count"]),
    ("Does every order line refer to an existing product? Look for orphans", &["orphaned_rows"]),
    ("What will the weather be like in Paris tomorrow?", &[]),
    ("Write me a poem about the sea", &[]),
    ("Please book a flight to Rome for next month", &[]),
    ("Hello, how are you?", &[]),
    ("Explain the theory of relativity in simple words", &[]),
    ("Translate this sentence into French", &[]),
    ("Send an email to my boss saying that I am ill", &[]),
    ("What is the meaning of life?", &[]),
    ("Can you help me fix my bicycle?", &[]),
    ("Who won the football world cup in 2014?", &[]),
];

/// The least share of answerable questions whose first match is right and confident enough.
const MIN_TOP_1: f64 = 0.9;

#[test]
#[expect(clippy::cast_precision_loss, reason = "a few dozen questions")]
fn questions_find_their_pattern_and_others_find_none() {
    let snapshot = snapshot();
    let mut wrong = Vec::new();
    let mut false_positives = Vec::new();
    let answerable = LABELLED.iter().filter(|(_, answers)| !answers.is_empty()).count();
    for (question, answers) in LABELLED {
        let best = snapshot.search(question, 3);
        let shown: Vec<String> =
            best.iter().map(|found| format!("{} {:.2}", found.pattern.name, found.confidence)).collect();
        println!("{question} -> {}", shown.join(", "));
        let found = best.first().filter(|found| found.confidence >= DEFAULT_MIN_CONFIDENCE);
        match found {
            Some(found) if answers.is_empty() => {
                false_positives.push(format!("{question} -> {} {:.2}", found.pattern.name, found.confidence));
            }
            Some(found) if answers.contains(&found.pattern.name.as_str()) => {}
            None if answers.is_empty() => {}
            Some(_) | None => wrong.push(format!("{question} -> {}", shown.join(", "))),
        }
    }
    let right = (answerable - wrong.len()) as f64 / answerable as f64;
    assert!(right >= MIN_TOP_1, "only {right:.2} right:\n{}", wrong.join("\n"));
    assert_eq!(false_positives, Vec::<String>::new(), "patterns for questions that none answers");
}

#[test]
fn every_intent_finds_its_own_pattern_among_the_first_three() {
    let snapshot = snapshot();
    let mut lost = Vec::new();
    for pattern in snapshot.iter() {
        for intent in &pattern.intents {
            let found = snapshot.search(intent, 3);
            if !found.iter().any(|found| found.pattern.name == pattern.name) {
                lost.push(format!("{intent} ({})", pattern.name));
            }
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}
