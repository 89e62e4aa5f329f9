//! Each weakness gets its advice, and a good pattern none.

use super::*;
use crate::{Registry, Source as _, scaffold};

fn rules(files: &[(&str, &str)], name: &str) -> Vec<&'static str> {
    let (registry, report) = Registry::with_built_in(files.iter().copied());
    assert_eq!(report.errors, []);
    let names = BTreeSet::from([name.to_owned()]);
    lint(&registry.snapshot(), &names).into_iter().map(|advice| advice.rule).collect()
}

const GOOD: &str = "
name: good
title: The largest orders
description: Lists orders, the largest first.
tags: [biggest]
intents: [which orders were largest, show the most expensive orders, top orders by value]
use_cases: [Find unusual orders]
parameters:
  - {name: measure, type: measure, required: true, description: the amount}
  - {name: limit, type: number, description: how many, default: 10}
templates:
  sql: SELECT {{measure}} FROM {{from}} ORDER BY 1 DESC LIMIT {{limit}}
examples:
  - {name: Five, parameters: {measure: orders.total}, expected_result: Ten rows.}
";

#[test]
fn a_good_pattern_gets_no_advice_and_a_new_one_only_on_what_it_must_change() {
    assert_eq!(rules(&[("x/good.yaml", GOOD)], "good"), Vec::<&str>::new());
    let new = scaffold("late_orders").unwrap();
    assert_eq!(rules(&[("x/new.yaml", &new)], "late_orders"), ["unknown-related", "unknown-related"]);
}

#[test]
fn each_weakness_is_named() {
    let cases = [
        ("title: The largest orders\n", "", "no-title"),
        ("description: Lists orders, the largest first.\n", "", "no-description"),
        ("show the most expensive orders, ", "", "few-intents"),
        ("use_cases: [Find unusual orders]\n", "", "no-use-cases"),
        ("tags: [biggest]\n", "", "no-tags"),
        (", description: the amount", "", "no-parameter-description"),
        ("description: the amount}", "description: the amount, default: x.y}", "required-with-default"),
        ("LIMIT {{limit}}", "LIMIT 10", "unused-parameter"),
        ("ORDER BY 1 DESC ", "", "unordered-limit"),
        ("SELECT {{measure}}", "SELECT *, {{measure}}", "select-all"),
        ("{{measure}} FROM", "{{measure}}, '{{limit}}' FROM", "not-executable"),
        (
            "parameters: {measure: orders.total}, ",
            "parameters: {measur: orders.total}, ",
            "unknown-example-parameter",
        ),
        ("parameters: {measure: orders.total}, ", "", "untested-template"),
        (", expected_result: Ten rows.", "", "no-expected-result"),
        ("tags:", "related_patterns: [nobody]\ntags:", "unknown-related"),
    ];
    for (old, new, rule) in cases {
        let text = GOOD.replace(old, new);
        assert_ne!(text, GOOD, "{old}");
        let found = rules(&[("x/good.yaml", &text)], "good");
        assert!(found.contains(&rule), "{rule}: {found:?}");
    }
    let (without, _) = GOOD.split_once("examples:").unwrap();
    assert!(rules(&[("x/good.yaml", without)], "good").contains(&"no-example"));
}

#[test]
fn patterns_that_are_mistaken_for_one_another_are_named() {
    let twin = GOOD.replace("name: good", "name: twin");
    let found = rules(&[("x/good.yaml", GOOD), ("x/twin.yaml", &twin)], "twin");
    assert_eq!(found, ["ambiguous-intent", "ambiguous-intent", "ambiguous-intent", "near-duplicate"]);
    let other = GOOD
        .replace("name: good", "name: other")
        .replace("which orders were largest", "how warm was the sea in spring")
        .replace("Lists orders, the largest first.", "Says how warm the water was.");
    let found = rules(&[("x/good.yaml", GOOD), ("x/other.yaml", &other)], "other");
    assert!(found.contains(&"ambiguous-intent"), "{found:?}");
}
