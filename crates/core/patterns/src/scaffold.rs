//! The text that a new pattern begins with: valid as it is, and explaining itself.

use crate::{FilesError, check_file_name};

const TEXT: &str = "# A pattern: which questions it answers, what it needs, and the query that it becomes.
# It works as it stands here; change each part to what you mean. `looms pattern validate FILE` says what is wrong,
# `looms pattern lint FILE` what could be better. docs/patterns.md explains every key.

# How agents and requests name it; unique among all patterns. The file has the same name.
name: NAME
# How people name it.
title: 'TITLE'
# What it does, in a sentence. The search reads it.
description: Adds up a numeric column for each thing of a kind (customer, product, region), the largest total first.
# What kind of work it is: ranking, counting, trend, quality, performance, ... or a word of your own.
category: ranking
# beginner, intermediate or advanced.
difficulty: beginner
# Words to find it by, also ones that its other texts do not use.
tags: [NAME, total]
# Questions that it answers, as people ask them. They weigh most in the search: write at least three that differ.
intents:
  - TITLE of each customer
  - which region has the largest TITLE
  - rank products by TITLE
# Situations that it is for.
use_cases:
  - Find the few customers, products or regions that make up most of a total

# What the templates need. The types that can be run: table, column, measure (a numeric column), label (what is named),
# time, number and text. What is required has no default; what has a default need not be given.
parameters:
  - {name: measure, type: measure, required: true, description: the numeric column to add up, example: orders.total}
  - {name: label, type: label, required: true, description: what the totals are of, example: customer.name}
  - {name: limit, type: number, description: how many to show, default: 10}

# The query. The key says for which engine it is: sql (any), sqlite or postgres. Names are quoted and values are bound when
# it is filled; {{from}} becomes the table of the measure with the joins that the other columns need, {{label.key}} what to
# group by so that each thing is one group.
templates:
  sql: |
    SELECT {{label}} AS label, SUM({{measure}}) AS total
    FROM {{from}}
    GROUP BY {{label.key}}
    ORDER BY total DESC, label
    LIMIT {{limit}}

# At least one worked example: parameters that fill the template, and what comes out.
examples:
  - name: By customer
    description: Who are the five customers with the largest TITLE?
    parameters: {measure: orders.total, label: customer.name, limit: 5}
    expected_result: Up to five rows of a name and a total, the largest first.

# Mistakes that are often made with it.
common_errors:
  - error: Totals are several times too high
    cause: The measure stands in a table that is joined to several rows of another
    solution: Take the measure from the most detailed table

# Patterns that go with it.
related_patterns: [top_by_total, share_of_total]
";

/// The text of a new pattern called `name`.
pub fn scaffold(name: &str) -> Result<String, FilesError> {
    check_file_name("pattern's name", name)?;
    let title = name.replace(['_', '-', '.'], " ");
    // A name of digits alone, or one that YAML reads as something else, would be no text without quotes.
    Ok(TEXT.replace("TITLE", title.trim()).replace("NAME", &format!("'{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn a_new_pattern_is_valid_as_it_is_and_can_be_run() {
        for name in ["late_orders", "a", "42", "true", "null", "top.v2", "1e3", "x-y"] {
            let text = scaffold(name).unwrap();
            let patterns = parse("mine/new.yaml", &text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let [pattern] = &patterns[..] else { panic!("{patterns:?}") };
            assert!(pattern.name == name && pattern.is_executable(), "{pattern:?}");
            assert_eq!(pattern.not_executable().count(), 0);
        }
        assert!(scaffold("../x").is_err() && scaffold("").is_err());
    }
}
