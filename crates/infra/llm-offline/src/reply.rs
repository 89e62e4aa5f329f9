//! What is said when there is no answer: questions back, and what failed.

use std::fmt::Write as _;

use crate::answer::describe;
use crate::binding::Plan;
use crate::matching::Matching;
use crate::missing::{Apart, Missing};
use crate::pattern::Kind;
use crate::question::Mask;
use crate::schema::{Class, Column, Path};

const NOT_A_MODEL: &str =
    "I am not a language model: I match the words of a question with the names in a database schema.";

/// Names offered at most.
const MAX_NAMES: usize = 5;

/// A reply in which nothing was understood or possible, with the reason.
pub(crate) fn cannot(reason: &str) -> String {
    format!("{reason}\n\n{NOT_A_MODEL}")
}

/// Asks for what the best pattern lacks.
pub(crate) fn ask_for_missing(missing: &Missing<'_>, matching: &Matching<'_>) -> String {
    let mut text =
        format!("I cannot answer this yet. The pattern {} fits best, but ", missing.pattern.shown());
    let wanted: Vec<String> = missing
        .wanted
        .iter()
        .map(|one| format!("{} (`{}`)", one.parameter.kind.wanted(), one.parameter.name))
        .collect();
    let name = |table: usize| matching.schema.tables.get(table).map_or("?", |table| table.name.as_str());
    match missing.apart {
        _ if !wanted.is_empty() => {
            let _ = write!(text, "I did not find in your words {} that it needs.", wanted.join(" and "));
        }
        Some(Apart::Join(one, other)) => {
            let _ = write!(
                text,
                "{} cannot be joined to {} along foreign keys in one way only and without counting anything twice.",
                name(one),
                name(other)
            );
        }
        Some(Apart::Reference(one, other)) => {
            let _ = write!(text, "no single foreign key leads from {} to {}.", name(one), name(other));
        }
        None => text.push_str("each value it needs must have a word of its own."),
    }
    note_cut(&mut text, matching);
    let words = matching.question.texts(missing.left_over & !matching.naming_words());
    if !words.is_empty() {
        let _ = write!(text, " Nothing in the schema is called: {}.", words.join(", "));
    }
    for one in &missing.wanted {
        let names = nearest(matching, one.parameter.kind, missing.left_over, &one.tables);
        offer(&mut text, &format!("For `{}` the nearest names are", one.parameter.name), &names);
    }
    match missing.apart.filter(|_| wanted.is_empty()) {
        Some(Apart::Join(_, other)) => {
            let reaches = |table: &usize| matches!(matching.schema.path(*table, other), Path::Through(_));
            let tables: Vec<usize> = all_tables(matching).into_iter().filter(reaches).collect();
            let measures = missing.pattern.kinds().any(|kind| kind == Kind::Measure);
            let (kind, what) =
                if measures { (Kind::Measure, "Numeric columns") } else { (Kind::Table, "Tables") };
            let names = nearest(matching, kind, Mask::MAX, &tables);
            offer(&mut text, &format!("{what} that can be joined to {} are", name(other)), &names);
        }
        Some(Apart::Reference(_, other)) => {
            let refers = |table: &usize| matching.schema.reference(*table, other).is_some();
            let tables: Vec<usize> = all_tables(matching).into_iter().filter(refers).collect();
            let names = nearest(matching, Kind::Table, Mask::MAX, &tables);
            offer(&mut text, &format!("Tables that refer to {} are", name(other)), &names);
        }
        None => {}
    }
    cannot(&format!("{text} Please ask again with such a name."))
}

/// Asks which of two equally good names is meant.
pub(crate) fn ask_which(plan: &Plan<'_>, (parameter, one, other): (&str, &str, &str)) -> String {
    cannot(&format!(
        "Which do you mean by `{parameter}` in the pattern {}: {one} or {other}? Please ask again with that name.",
        plan.pattern.shown()
    ))
}

/// Refuses to run a plan that leaves out words or does something else.
pub(crate) fn ask_without(plan: &Plan<'_>, matching: &Matching<'_>) -> String {
    let words = matching.question.texts(plan.verdict.left_over);
    let nearest_plan = describe(plan).replacen("I used", "use", 1);
    if words.is_empty() {
        return cannot(&format!(
            "I found nothing that does what you ask. The nearest would be to {nearest_plan}"
        ));
    }
    let mut text = format!(
        "I do not know what to do with: {}. I can use names of tables and columns, and numbers that a pattern asks \
         for, but not values to filter by, and leaving a word out could answer another question.",
        words.join(", ")
    );
    note_cut(&mut text, matching);
    let names = nearest(matching, Kind::Column, plan.verdict.left_over, &all_tables(matching));
    offer(&mut text, "The names nearest to them are", &names);
    let _ = write!(text, " Without it the nearest would be to {nearest_plan}");
    cannot(&format!("{text} Please ask again without it, or with a name from the schema."))
}

/// Says that nothing in the question is known here.
pub(crate) fn nothing_matches(matching: &Matching<'_>) -> String {
    let mut text = "None of your words is the name of a table or column here.".to_owned();
    note_cut(&mut text, matching);
    let names = nearest(matching, Kind::Table, Mask::MAX, &all_tables(matching));
    offer(&mut text, "The tables with the nearest names are", &names);
    cannot(&format!("{text} Please ask again with such a name."))
}

/// Says what the attempts met.
pub(crate) fn failed(attempts: &[(String, String)]) -> String {
    let mut text = "I could not answer this.".to_owned();
    for (what, reason) in attempts {
        let _ = write!(text, "\n\n{what} failed: {reason}");
    }
    cannot(&text)
}

/// Says that names may be missing because the schema is too large.
fn note_cut(text: &mut String, matching: &Matching<'_>) {
    if let Some(note) = matching.schema.cut_note() {
        let _ = write!(text, " {note}");
    }
}

fn offer(text: &mut String, lead: &str, names: &[String]) {
    if !names.is_empty() {
        let _ = write!(text, " {lead}: {}.", names.join(", "));
    }
}

fn all_tables(matching: &Matching<'_>) -> Vec<usize> {
    (0..matching.schema.tables.len()).collect()
}

/// The names among `tables` that a parameter of `kind` could have and that look most like the `words`.
fn nearest(matching: &Matching<'_>, kind: Kind, words: Mask, tables: &[usize]) -> Vec<String> {
    let fits = |column: &Column| match kind {
        Kind::Measure => column.is_measure(),
        Kind::Time => column.class == Class::Time,
        Kind::Label => !column.is_key && column.class == Class::Text,
        Kind::Column => !column.is_key,
        Kind::Table | Kind::Number | Kind::Other => false,
    };
    let asked: Vec<&str> = matching
        .question
        .indices()
        .filter(|(at, _)| words >> at & 1 == 1)
        .map(|(_, word)| word.lower.as_str())
        .collect();
    let likeness = |own: &[String]| {
        let pairs =
            own.iter().flat_map(|own| asked.iter().map(move |asked| strsim::jaro_winkler(own, asked)));
        pairs.fold(0.0_f64, f64::max)
    };
    let mut names: Vec<(f64, String)> = Vec::new();
    for at in tables.iter().copied() {
        let Some(table) = matching.schema.tables.get(at) else { continue };
        let is_named = if matching.table_words(at) == 0 { 0.0 } else { 1.0 };
        if kind == Kind::Table {
            names.push((likeness(&table.words), table.name.clone()));
        }
        for column in table.columns.iter().filter(|column| fits(column)) {
            names.push((is_named + likeness(&column.words), format!("{}.{}", table.name, column.name)));
        }
    }
    names.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    names.into_iter().take(MAX_NAMES).map(|(_, name)| name).collect()
}
