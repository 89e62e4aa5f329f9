//! Both forms of a file, and the mistakes in them.

use super::*;
use crate::{NotExecutable, ParameterKind, TemplateDialect};
use proptest::prelude::*;

const SINGLE: &str = r#"
name: moving_average
title: "Moving Average"
description: |
  Smooths a series.
category: timeseries
difficulty: beginner
teradata_function: MovingAverage
priority: 90
intents:
  - analytics
use_cases:
  - Stock price trend analysis
parameters:
  - name: window_size
    type: integer
    required: true
    description: "Rows in the average"
    example: "7"
    default: 7
  - name: measure
    type: measure
    required: true
templates:
  plain: |
    SELECT AVG({{.measure}}) FROM t ROWS {{window_size}}
  sql:
    description: "One number"
    sql: SELECT AVG({{measure}}) FROM {{from}}
    required_parameters: [measure]
    output_format: table
examples:
  - name: "Week"
    parameters: {window_size: 7, columns: [a, b]}
    expected_result: a line
common_errors:
  - error: "Gaps"
    cause: "holidays"
    solution: "fill them"
best_practices: |
  Use odd windows.
syntax:
  description: windows
  operators: [{symbol: "..", meaning: range, example: "1..2"}]
related_patterns: [arima]
validation:
  rules: ["Check gaps"]
"#;

const LIBRARY: &str = r#"
apiVersion: loom/v1
kind: PatternLibrary
metadata:
  name: sql-core-lite
  version: 1.0.0
  domain: sql
  description: "Essential SQL"
  labels: {vendor: standard, category: sql}
spec:
  entries:
    - name: duplicate_detection
      description: "Find duplicates"
      trigger_conditions: ["find duplicates"]
      example: "SELECT 1"
      rule: {condition: "c", action: "a", rationale: "r"}
      priority: 85
      tags: [sql]
    - name: profiling
      description: "Profile"
      template: "SELECT {{column}}"
"#;

fn failure(text: &str) -> String {
    parse("lib/x.yaml", text).unwrap_err().to_string()
}

#[test]
fn the_single_form_loads_whole() {
    let patterns = parse("sql/timeseries/moving_average.yaml", SINGLE).unwrap();
    let [pattern] = patterns.as_slice() else { panic!("one pattern") };
    assert_eq!((pattern.name.as_str(), pattern.domain.as_str()), ("moving_average", "sql"));
    assert_eq!(pattern.backend_function.as_deref(), Some("MovingAverage"));
    assert_eq!(pattern.parameters[1].kind(), Some(ParameterKind::Measure));
    assert_eq!(pattern.parameters[0].default, Some(Value::from(7)));
    assert_eq!(pattern.templates["plain"].executable(), Err(&NotExecutable::Key));
    let sql = &pattern.templates["sql"];
    assert_eq!(sql.executable(), Ok(TemplateDialect::Any));
    assert_eq!(sql.required_parameters, ["measure"]);
    assert!(pattern.is_executable());
    let json = serde_json::to_value(pattern).unwrap();
    assert_eq!(json["templates"]["sql"]["content"], "SELECT AVG({{measure}}) FROM {{from}}");
    assert_eq!(json["parameters"][1]["type"], "measure");
    assert_eq!(json["examples"][0]["parameters"]["columns"][1], "b");
    assert_eq!(json["validation"]["rules"][0], "Check gaps");
    assert_eq!(json["syntax"]["operators"][0]["symbol"], "..");
    assert!(json.get("rule").is_none());
}

#[test]
fn the_library_form_loads_whole() {
    let patterns = parse("libraries/x.yaml", LIBRARY).unwrap();
    assert_eq!(patterns.len(), 2);
    let pattern = &patterns[0];
    assert_eq!((pattern.domain.as_str(), pattern.category.as_deref()), ("sql", Some("sql")));
    assert_eq!((pattern.priority, pattern.intents.as_slice()), (85, &["find duplicates".to_owned()][..]));
    let json = serde_json::to_value(pattern).unwrap();
    assert_eq!(json["rule"]["rationale"], "r");
    assert_eq!(json["examples"][0]["expected_result"], "SELECT 1");
    assert_eq!(json["library"]["version"], "1.0.0");
    assert!(!patterns[1].is_executable());
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        ("name: x\ntitel: y\n", "lib/x.yaml:2:1: unknown key `titel`; did you mean `title`?"),
        ("title: y\n", "lib/x.yaml:1:1: missing field `name`"),
        ("name: a b\n", "lib/x.yaml:1:7: a pattern's name has no spaces and is not empty"),
        ("name: x\nparameters:\n  - nme: y\n", "lib/x.yaml:3:5: unknown key `nme`; did you mean `name`?"),
        ("name: x\nparameters:\n  - name: y\n  - name: y\n", "lib/x.yaml:4:5: two parameters are called `y`"),
        (
            "name: x\ntemplates:\n  sql:\n    contnt: SELECT 1\n",
            "lib/x.yaml:4:5: unknown key `contnt`; did you mean `content`?",
        ),
        (
            "name: x\ntemplates:\n  sql: {description: d}\n",
            "lib/x.yaml:3:8: template `sql` has neither `content` nor `sql`",
        ),
        (
            "name: x\ntemplates:\n  system: You are {{who}}\n",
            "lib/x.yaml:3:11: template `system`: placeholder `who` lets user input reach the system role",
        ),
        (
            "kind: Agent\nmetadata: {name: x}\nspec: {entries: []}\n",
            "lib/x.yaml:1:7: `kind` must be `PatternLibrary`",
        ),
        (
            "kind: PatternLibrary\nmetadata: {name: x}\nspec:\n  entries:\n    - name: a\n    - name: a\n",
            "lib/x.yaml:6:13: two entries are called `a`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(failure(text), expected);
    }
}

#[test]
fn a_broken_text_says_where_it_breaks() {
    assert!(failure("name: x\nintents: [a\ntitle: y").starts_with("lib/x.yaml:3:"));
    assert_eq!(failure(""), "lib/x.yaml:1:1: unexpected end of file");
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "(name: x\n|kind: |templates:\n|  sql: |\\{\\{a\\}\\}|[ -~\n]){0,30}") {
        let _ = parse("a/b.yaml", &text);
    }
}
