//! Lays out the rows that a pattern brought back.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use crate::binding::Plan;
use crate::matching::Matching;
use crate::partial::{self, Read};

/// What every answer says of itself.
pub(crate) const NO_MODEL: &str = "No language model was involved: the words of the question were matched with names in the database schema.";

/// Rows shown at most.
const MAX_ROWS: usize = 50;
/// Characters shown of one value at most.
const MAX_CELL: usize = 80;

#[derive(Deserialize)]
struct Found {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    #[serde(default)]
    truncated: bool,
}

/// The answer from the JSON of a run; the reason when it is something else.
pub(crate) fn answer(json: &str, plan: &Plan<'_>, matching: &Matching<'_>) -> Result<String, String> {
    let Read { value: found, is_cut } = partial::read::<Found>(json)?;
    let mut parts = Vec::new();
    if found.rows.is_empty() {
        parts.push("The query ran and found no rows.".to_owned());
    } else {
        parts.push(table(&found.columns, &found.rows));
    }
    if found.rows.len() > MAX_ROWS {
        parts.push(format!("The first {MAX_ROWS} of {} rows are shown.", found.rows.len()));
    }
    if is_cut {
        parts.push("The result was too long to be shown to me whole: there are more rows.".to_owned());
    } else if found.truncated {
        parts.push("There are more rows: the limit for one query cut them off.".to_owned());
    } else if plan.default_limit() == Some(found.rows.len()) {
        let rows = found.rows.len();
        parts.push(format!(
            "There may be more: the pattern shows {rows} rows unless you ask for a number of them."
        ));
    }
    parts.extend(matching.schema.cut_note());
    let ignored = matching.question.texts(plan.verdict.left_over);
    if !ignored.is_empty() {
        parts.push(format!("I ignored: {}.", ignored.join(", ")));
    }
    parts.push(format!("{} {NO_MODEL}", describe(plan)));
    Ok(parts.join("\n\n"))
}

/// What a plan does, in one sentence.
pub(crate) fn describe(plan: &Plan<'_>) -> String {
    let bound: Vec<String> =
        plan.bound.iter().map(|(name, value)| format!("{name} = {}", value.shown)).collect();
    let mut sentence = format!("I used the pattern {} (`{}`)", plan.pattern.shown(), plan.pattern.name);
    if !bound.is_empty() {
        let _ = write!(sentence, " with {}", bound.join(", "));
    }
    if !plan.joined.is_empty() {
        let _ = write!(sentence, ", joining {} over foreign keys", plan.joined.join(" → "));
    }
    sentence.push('.');
    sentence
}

/// A Markdown table whose columns line up as plain text too; numbers stand on the right.
fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let rows = rows.get(..MAX_ROWS).unwrap_or(rows);
    let is_numeric: Vec<bool> = (0..columns.len()).map(|at| is_numeric(rows, at)).collect();
    let header: Vec<String> = columns.iter().map(|name| escape(name)).collect();
    let body: Vec<Vec<String>> = rows
        .iter()
        .map(|row| (0..columns.len()).map(|at| row.get(at).map_or_else(String::new, cell)).collect())
        .collect();
    let width = |at: usize| {
        let cells = std::iter::once(&header).chain(&body).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).zip(&is_numeric);
        let padded: Vec<String> = cells
            .map(
                |((cell, width), right)| {
                    if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        format!("| {} |", padded.join(" | "))
    };
    let rules = widths.iter().zip(&is_numeric);
    let rule: Vec<String> = rules
        .map(|(width, right)| if *right { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(*width) })
        .collect();
    let mut lines = vec![line(&header), format!("| {} |", rule.join(" | "))];
    lines.extend(body.iter().map(|row| line(row)));
    lines.join("\n")
}

fn is_numeric(rows: &[Vec<Value>], column: usize) -> bool {
    let mut known = rows.iter().filter_map(|row| row.get(column)).filter(|value| !value.is_null()).peekable();
    known.peek().is_some() && known.all(Value::is_number)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or(f64::NAN)),
        other => escape(&other.to_string()),
    }
}

/// A number with at most four decimals, without the noise of its binary form. What would vanish or sprawl that way is
/// shown with an exponent.
fn float(number: f64) -> String {
    const SMALLEST: f64 = 0.000_05;
    const LARGEST: f64 = 1e15;
    let size = number.abs();
    if size != 0.0 && !(SMALLEST..LARGEST).contains(&size) {
        return format!("{number:.4e}");
    }
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text that keeps to its cell.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == MAX_CELL {
            out.push('…');
            break;
        }
        match char {
            '|' => out.push_str("\\|"),
            char if char.is_control() => out.push(' '),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_lose_their_noise_and_nothing_else() {
        let cases = [
            (49.620_000_000_000_005, "49.62"),
            (0.1 + 0.2, "0.3"),
            (5.651_941_747_6, "5.6519"),
            (100.0, "100"),
            (0.0, "0"),
            (-2.5, "-2.5"),
            (0.000_012, "1.2000e-5"),
            (1e300, "1.0000e300"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn columns_line_up_and_numbers_stand_on_the_right() {
        let rows = [vec![json!("Zoë | Co"), json!(9)], vec![Value::Null, json!(12.5)], vec![json!("a\nb")]];
        let text = table(&["Name".into(), "Total".into()], &rows);
        assert_eq!(
            text,
            "| Name      | Total |\n\
             | --------- | ----: |\n\
             | Zoë \\| Co |     9 |\n\
             |           |  12.5 |\n\
             | a b       |       |"
        );
    }

    #[test]
    fn long_values_and_long_results_are_cut() {
        assert_eq!(escape(&"x".repeat(100)).chars().count(), MAX_CELL + 1);
        let rows: Vec<Vec<Value>> = (0..80).map(|row| vec![json!(row)]).collect();
        assert_eq!(table(&["n".into()], &rows).lines().count(), MAX_ROWS + 2);
    }
}
