//! What turns measurements into figures, and figures into a page.

use std::time::Duration;

use super::Subject;
use super::page::replaced;
use super::sample::Sample;
use super::server::ticks;
use super::site::{described, renamed};
use super::table::Table;

fn sample(millis: impl IntoIterator<Item = u64>) -> Sample {
    Sample::of(millis.into_iter().map(Duration::from_millis).collect()).unwrap()
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let hundred = sample((1..=100).rev());
    assert_eq!(hundred.percentile(50), Duration::from_millis(50));
    assert_eq!(hundred.percentile(99), Duration::from_millis(99));
    assert_eq!(hundred.percentile(100), Duration::from_millis(100));
    let three = sample([7, 1, 3]);
    assert_eq!(three.percentile(50), Duration::from_millis(3));
    assert_eq!(three.percentile(90), Duration::from_millis(7));
    assert_eq!(sample([4]).percentile(1), Duration::from_millis(4));
    assert!(Sample::of(Vec::new()).is_none());
}

#[test]
fn only_what_the_markers_of_the_subject_enclose_is_replaced() {
    let page =
        "a\n<!-- bench startup -->\nold\n<!-- end startup -->\nb\n<!-- bench turns -->\n<!-- end turns -->\n";
    let expected =
        "a\n<!-- bench startup -->\nnew\n<!-- end startup -->\nb\n<!-- bench turns -->\n<!-- end turns -->\n";
    assert_eq!(replaced(page, "startup", "new\n").as_deref(), Some(expected));
    assert_eq!(replaced(expected, "startup", "new\n").as_deref(), Some(expected));
    assert_eq!(replaced(page, "reload", "new\n"), None);
}

#[test]
fn the_page_has_the_markers_of_every_subject() {
    let page = std::fs::read_to_string(crate::workspace::root().join("docs/benchmarks.md")).unwrap();
    let subjects = [
        Subject::Startup,
        Subject::Reload,
        Subject::Turns,
        Subject::Allocations,
        Subject::Growth,
        Subject::Sessions,
    ];
    for subject in subjects {
        assert!(replaced(&page, subject.name(), "").is_some(), "{}", subject.name());
    }
}

#[test]
fn processor_time_is_read_past_a_name_with_blanks_and_parentheses() {
    let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 4 0 123 456 789";
    assert_eq!(ticks(stat), Some(12));
    assert_eq!(ticks("42 (looms) S 1"), None);
}

#[test]
fn a_pattern_gets_another_name_and_description_and_stays_as_it_is_otherwise() {
    let text = "name: a\ndescription: b\nparameters:\n  - {name: a, type: table}\n";
    let expected = "name: x\ndescription: y\nparameters:\n  - {name: a, type: table}\n";
    assert_eq!(renamed(text, "x").and_then(|text| described(&text, "y")).as_deref(), Some(expected));
    assert_eq!(renamed("title: a\n", "x"), None);
}

#[test]
fn a_table_is_as_wide_as_its_widest_cells() {
    let mut table = Table::new(["a", "long"]);
    table.row(["wide".into(), "1".into()]);
    assert_eq!(table.to_string(), "| a    | long |\n| ---- | ---- |\n| wide | 1    |\n");
}
