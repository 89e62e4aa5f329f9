//! A trace as a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

use loom_proto::v1::{Span, Trace};

use super::amounts::{count, counted, dollars, span};
use super::text::{Tone, clean, shorten};
use super::turn::model;
use crate::Style;

/// The widest name or value.
const MAX_TEXT: usize = 120;

/// Writes `trace`: spans under their parents, by their start, each with its time and what it cost or brought. A span
/// whose parent is not in the trace stands at the top.
pub fn trace(trace: &Trace, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let lines = Tree::of(&trace.spans).lines();
    let total = span(trace.total_duration_ms.saturating_mul(1_000));
    let mut head = vec![format!("trace {}", shorten(&trace.id, MAX_TEXT))];
    if !trace.session_id.is_empty() {
        head.push(format!("session {}", shorten(&trace.session_id, MAX_TEXT)));
    }
    head.push(total);
    head.extend(trace.total_cost.as_ref().map(|cost| dollars(cost.total_cost_usd)));
    writeln!(out, "{}", style.paint(Tone::Strong, &head.join(" · ")))?;
    let width = lines.iter().map(|line| line.label.width()).max().unwrap_or(0);
    let times = lines.iter().map(|line| line.took.width()).max().unwrap_or(0);
    for line in lines {
        let fill = " ".repeat(width - line.label.width());
        let took = format!("{}{}", " ".repeat(times - line.took.width()), line.took);
        let facts = line.facts.join(" · ");
        let tone = if line.is_error { Tone::Bad } else { Tone::Faint };
        let whole = format!("{}{fill}  {took}  {}", line.label, style.paint(tone, &facts));
        writeln!(out, "{}", whole.trim_end())?;
        for query in line.query.lines().filter(|query| !query.trim().is_empty()) {
            writeln!(out, "{}{}", line.below, style.paint(Tone::Faint, query.trim_end()))?;
        }
    }
    Ok(())
}

/// A span's line.
struct Line {
    label: String,
    took: String,
    facts: Vec<String>,
    is_error: bool,
    query: String,
    /// What stands before the lines below it.
    below: String,
}

/// The spans by their parents.
struct Tree<'a> {
    spans: &'a [Span],
    children: BTreeMap<&'a str, Vec<usize>>,
    tops: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn of(spans: &'a [Span]) -> Self {
        let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|index| spans[*index].start_time_us);
        let mut tree = Self { spans, children: BTreeMap::new(), tops: Vec::new() };
        for index in order {
            let span = &spans[index];
            if span.parent_id != span.id && ids.contains(span.parent_id.as_str()) {
                tree.children.entry(&span.parent_id).or_default().push(index);
            } else {
                tree.tops.push(index);
            }
        }
        tree
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut seen = BTreeSet::new();
        // Spans that are each other's parents hang from no top: all are tried, the ones already shown are passed over.
        for top in self.tops.iter().copied().chain(0..self.spans.len()) {
            self.add(top, &mut seen, &mut lines);
        }
        lines
    }

    /// Adds a span and those below it. It keeps a stack of its own: how deep the spans go is the server's choice.
    fn add(&self, top: usize, seen: &mut BTreeSet<usize>, lines: &mut Vec<Line>) {
        let mut open = vec![(top, String::new(), String::new())];
        while let Some((index, branch, below)) = open.pop() {
            if !seen.insert(index) {
                continue;
            }
            let span = &self.spans[index];
            let children: &[usize] = self.children.get(span.id.as_str()).map_or(&[], Vec::as_slice);
            let stem = if children.is_empty() { "    " } else { "│   " };
            lines.push(line(span, &branch, format!("{below}{stem}")));
            for (position, child) in children.iter().enumerate().rev() {
                let (mark, stem) =
                    if position + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                open.push((*child, format!("{below}{mark}"), format!("{below}{stem}")));
            }
        }
    }
}

fn line(part: &Span, branch: &str, below: String) -> Line {
    let is_error = part.status == "error";
    let mark = if is_error { "✗ " } else { "" };
    Line {
        label: format!("{branch}{mark}{}", shorten(&part.name, MAX_TEXT)),
        took: span(part.duration_us),
        facts: facts(part),
        is_error,
        query: clean(part.attributes.get("loom.tool.query").map_or("", String::as_str)).into_owned(),
        below,
    }
}

/// What is worth showing of a span's attributes.
fn facts(span: &Span) -> Vec<String> {
    let text = |name: &str| span.attributes.get(name).map(|value| shorten(value, MAX_TEXT));
    let number = |name: &str| span.attributes.get(name).and_then(|value| value.parse::<i64>().ok());
    let mut facts = Vec::new();
    if let Some(asked) = text("gen_ai.request.model").filter(|asked| !span.name.contains(asked.as_str())) {
        facts.push(model(&text("gen_ai.provider.name").unwrap_or_default(), &asked));
    }
    if let Some(name) = text("loom.pattern.name") {
        let confidence = text("loom.pattern.confidence").and_then(|text| text.parse::<f64>().ok());
        let confidence = confidence.map(|sure| format!(" (confidence {sure:.2})")).unwrap_or_default();
        facts.push(format!("pattern {name}{confidence}"));
    }
    if let (Some(input), Some(output)) =
        (number("gen_ai.usage.input_tokens"), number("gen_ai.usage.output_tokens"))
    {
        let cached = number("gen_ai.usage.cache_read.input_tokens").filter(|cached| *cached > 0);
        let cached = cached.map(|cached| format!(" ({} from the cache)", count(cached))).unwrap_or_default();
        facts.push(format!("{} in{cached}, {} out", counted(input, "token"), count(output)));
    }
    if let Some(cost) = text("loom.cost_usd").and_then(|text| text.parse().ok()) {
        facts.push(dollars(cost));
    }
    facts.extend(text("loom.tool.outcome"));
    if let Some(rows) = number("loom.tool.rows") {
        let cut = text("loom.tool.truncated").is_some_and(|text| text == "true");
        facts.push(format!("{}{}", counted(rows, "row"), if cut { ", more were left out" } else { "" }));
    }
    if let Some(attempt) = number("loom.attempt").filter(|attempt| *attempt > 1) {
        facts.push(format!("attempt {attempt}"));
    }
    facts.extend(text("error.type"));
    if !matches!(span.status.as_str(), "ok" | "error") {
        facts.push("unfinished".to_owned());
    }
    facts
}

#[cfg(test)]
mod tests;
