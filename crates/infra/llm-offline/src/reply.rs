//! What is said when there is no answer: questions back, and what failed.

use std::fmt::Write as _;

use crate::answer::describe;
use crate::binding::{Missing, Plan};
use crate::matching::Matching;
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
    let mut kinds: Vec<Kind> = missing.wanted.iter().map(|(_, kind)| *kind).collect();
    kinds.dedup();
    let wanted: Vec<String> =
        missing.wanted.iter().map(|(name, kind)| format!("{} (`{name}`)", kind.wanted())).collect();
    match missing.apart {
        _ if !wanted.is_empty() => {
            let _ = write!(text, "I did not find in your words {} that it needs.", wanted.join(" and "));
        }
        Some((one, other)) => {
            let name =
                |table: usize| matching.schema.tables.get(table).map_or("?", |table| table.name.as_str());
            let _ = write!(
                text,
                "{} cannot be joined to {} along foreign keys in one way only and without counting anything twice.",
                name(one),
                name(other)
            );
        }
        None => text.push_str("each value it needs must have a word of its own."),
    }
    note_cut(&mut text, matching);
    let words = matching.question.texts(missing.left_over & !matching.naming_words());
    if !words.is_empty() {
        let _ = write!(text, " Nothing in the schema is called: {}.", words.join(", "));
    }
    for kind in kinds {
        offer(&mut text, &nearest(matching, kind, missing.left_over, None));
    }
    if let Some((_, other)) = missing.apart.filter(|_| wanted.is_empty()) {
        offer(&mut text, &nearest(matching, Kind::Measure, Mask::MAX, Some(other)));
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
    offer(&mut text, &nearest(matching, Kind::Column, plan.verdict.left_over, None));
    let _ = write!(text, " Without it the nearest would be to {nearest_plan}");
    cannot(&format!("{text} Please ask again without it, or with a name from the schema."))
}

/// Says that nothing in the question is known here.
pub(crate) fn nothing_matches(matching: &Matching<'_>) -> String {
    let mut text = "None of your words is the name of a table or column here.".to_owned();
    note_cut(&mut text, matching);
    offer(&mut text, &nearest(matching, Kind::Table, Mask::MAX, None));
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
    if matching.schema.is_cut {
        let count = matching.schema.tables.len();
        let _ = write!(
            text,
            " The schema is too large to be shown to me whole: I know its first {count} tables only."
        );
    }
}

fn offer(text: &mut String, names: &[String]) {
    if !names.is_empty() {
        let _ = write!(text, " The nearest names are: {}.", names.join(", "));
    }
}

/// The names a parameter of `kind` could have that look most like the `words`, in tables that can be joined to the one
/// they must be `reaching`.
fn nearest(matching: &Matching<'_>, kind: Kind, words: Mask, reaching: Option<usize>) -> Vec<String> {
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
    for (at, table) in matching.schema.tables.iter().enumerate() {
        if reaching.is_some_and(|to| !matches!(matching.schema.path(at, to), Path::Through(_))) {
            continue;
        }
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
