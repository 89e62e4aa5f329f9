//! Which names of the schema the words of a question may stand for.

use serde_json::{Value, json};

use crate::pattern::Kind;
use crate::question::{Mask, Question};
use crate::schema::{Class, Column, Schema};
use crate::words::{self, MoneySense};

/// A value that a parameter could have.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The value as the tool wants it.
    pub(crate) value: Value,
    /// The value as people read it.
    pub(crate) shown: String,
    /// The table it is or belongs to; `None` for a number.
    pub(crate) table: Option<usize>,
    /// The words that call for it.
    pub(crate) core: Mask,
    /// Further words that it accounts for.
    pub(crate) context: Mask,
    /// How well its name agrees with those words: 0 to 1.
    pub(crate) quality: f64,
}

/// How well a name agrees with a question.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    mask: Mask,
    quality: f64,
}

/// A question held against a schema.
pub(crate) struct Matching<'a> {
    pub(crate) question: &'a Question,
    pub(crate) schema: &'a Schema,
    tables: Vec<Fit>,
    /// For each table, its columns.
    columns: Vec<Vec<Fit>>,
    /// The same by name alone: nothing is grouped by what a word such as "sold" has to do with money.
    literal: Vec<Vec<Fit>>,
}

/// Names that agree less are not meant.
const WEAKEST_FIT: f64 = 0.25;
/// So many candidates of a parameter are tried; of times more, since a word such as "monthly" fits all of them.
const MAX_CANDIDATES: usize = 8;
const MAX_TIMES: usize = 32;

impl<'a> Matching<'a> {
    pub(crate) fn new(question: &'a Question, schema: &'a Schema) -> Self {
        let tables = schema
            .tables
            .iter()
            .map(|table| fit(&table.words, &table.words.concat(), &[], question))
            .collect();
        let fits = |fit: fn(&Column, &Question) -> Fit| -> Vec<Vec<Fit>> {
            let tables = schema.tables.iter();
            tables.map(|table| table.columns.iter().map(|column| fit(column, question)).collect()).collect()
        };
        Self { question, schema, tables, columns: fits(fit_column), literal: fits(fit_name) }
    }

    /// The words that a table's name accounts for.
    pub(crate) fn table_words(&self, table: usize) -> Mask {
        self.tables.get(table).filter(|fit| fit.quality > 0.0).map_or(0, |fit| fit.mask)
    }

    /// Whether a value is a column for one piece, such as a unit price.
    pub(crate) fn is_for_one(&self, candidate: &Candidate) -> bool {
        let table = candidate.table.and_then(|at| self.schema.tables.get(at));
        let mut columns =
            table.into_iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        columns.any(|(table, column)| {
            column.is_for_one() && format!("{}.{}", table.name, column.name) == candidate.shown
        })
    }

    /// Whether a word such as "expensive" alone calls for the price of a thing that the question does not name.
    fn is_price_of_something_else(&self, candidate: &Candidate) -> bool {
        let is_named = |at: usize| self.tables.get(at).is_some_and(|fit| fit.quality >= WEAKEST_FIT);
        let literal = self.columns(&self.literal, Column::is_for_one);
        let by_name = |one: &Candidate| one.shown == candidate.shown && one.quality >= WEAKEST_FIT;
        self.is_for_one(candidate) && !candidate.table.is_some_and(is_named) && !literal.iter().any(by_name)
    }

    /// Whether two values are named side by side, as in `customers and employees`.
    pub(crate) fn are_beside(&self, one: &Candidate, other: &Candidate) -> bool {
        let follows = |one: Mask, other: Mask| (one & !other) << 1 & other & !one & self.question.beside != 0;
        follows(one.core, other.core) || follows(other.core, one.core)
    }

    /// The words that the name of the foreign key accounts for by which one table is joined to another.
    pub(crate) fn key_words(&self, from: usize, to: usize) -> Mask {
        let Some((key, _)) = self.schema.reference(from, to) else { return 0 };
        let columns = self.schema.tables.get(from).into_iter().flat_map(|table| &table.columns);
        let fits = columns.zip(self.columns.get(from).into_iter().flatten());
        fits.filter(|(column, _)| column.name == key).fold(0, |mask, (_, fit)| mask | fit.mask)
    }

    /// The words that cannot be left out without answering another question: those that filter, group or compare, the
    /// clear names of tables and columns, and words of unknown meaning.
    pub(crate) fn essential_words(&self) -> Mask {
        const CLEAR_TABLE: f64 = 0.6;
        const CLEAR_COLUMN: f64 = 0.9;
        let tables = self.tables.iter().filter(|fit| fit.quality >= CLEAR_TABLE);
        let columns = self.columns.iter().flatten().filter(|fit| fit.quality >= CLEAR_COLUMN);
        let spoken = self.question.mask(|word| word.may_filter || word.concept.is_none());
        tables.chain(columns).fold(spoken, |mask, fit| mask | fit.mask)
    }

    /// The tables that the question names, best first.
    pub(crate) fn named_tables(&self) -> Vec<usize> {
        let mut named: Vec<(usize, f64)> = self
            .tables
            .iter()
            .enumerate()
            .filter(|(_, fit)| fit.quality >= WEAKEST_FIT)
            .map(|(at, fit)| (at, fit.quality))
            .collect();
        named.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        named.into_iter().map(|(at, _)| at).collect()
    }

    /// The words that may stand for something in the schema.
    pub(crate) fn naming_words(&self) -> Mask {
        let fits = self.tables.iter().chain(self.columns.iter().flatten());
        fits.filter(|fit| fit.quality >= WEAKEST_FIT).fold(0, |mask, fit| mask | fit.mask)
    }

    /// Whether any word stands for anything in the schema.
    pub(crate) fn finds_anything(&self) -> bool {
        self.naming_words() != 0
    }

    /// The values a parameter of `kind` could have, best first.
    pub(crate) fn candidates(&self, kind: Kind) -> Vec<Candidate> {
        let mut candidates = match kind {
            Kind::Table => self.tables(),
            Kind::Column => {
                let mut named = self.named_rows();
                named.retain(|candidate| candidate.value.is_string());
                for candidate in &mut named {
                    candidate.quality *= 0.8;
                }
                named.extend(self.columns(&self.literal, |column| !column.is_key));
                named
            }
            Kind::Label => {
                let mut named = self.named_rows();
                named.extend(
                    self.columns(&self.literal, |column| !column.is_key && column.class != Class::Time),
                );
                named
            }
            Kind::Measure => {
                let mut measures = self.columns(&self.columns, Column::is_measure);
                measures.retain(|candidate| !self.is_price_of_something_else(candidate));
                measures
            }
            Kind::Time => self.times(),
            Kind::Number => self.numbers(),
            Kind::Other => Vec::new(),
        };
        candidates.retain(|candidate| candidate.quality >= WEAKEST_FIT && candidate.core != 0);
        let weight = |candidate: &Candidate| {
            candidate.quality * f64::from((candidate.core | candidate.context).count_ones())
        };
        candidates.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        candidates.truncate(if kind == Kind::Time { MAX_TIMES } else { MAX_CANDIDATES });
        candidates
    }

    fn tables(&self) -> Vec<Candidate> {
        let tables = self.schema.tables.iter().zip(&self.tables).enumerate();
        tables
            .map(|(at, (table, fit))| Candidate {
                value: json!(table.name),
                shown: table.name.clone(),
                table: Some(at),
                core: fit.mask,
                context: 0,
                quality: fit.quality,
            })
            .collect()
    }

    /// The naming columns of tables that the question names.
    fn named_rows(&self) -> Vec<Candidate> {
        self.named_tables().into_iter().filter_map(|table| self.row_names(table)).collect()
    }

    /// The naming columns of a table; `None` when nothing names its rows.
    pub(crate) fn row_names(&self, at: usize) -> Option<Candidate> {
        let (table, fit) = (self.schema.tables.get(at)?, self.tables.get(at)?);
        let naming = table.naming_columns();
        let names: Vec<String> =
            naming.iter().map(|column| format!("{}.{}", table.name, table.columns[*column].name)).collect();
        let context = naming.iter().fold(0, |mask, column| mask | self.columns[at][*column].mask);
        let value = match names.as_slice() {
            [] => return None,
            [only] => json!(only),
            several => json!(several),
        };
        let shown = names.join(" and ");
        Some(Candidate { value, shown, table: Some(at), core: fit.mask, context, quality: fit.quality })
    }

    fn columns(&self, fits: &[Vec<Fit>], may_be: impl Fn(&Column) -> bool) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (at, table) in self.schema.tables.iter().enumerate() {
            for (column, fit) in table.columns.iter().zip(&fits[at]).filter(|(column, _)| may_be(column)) {
                let name = format!("{}.{}", table.name, column.name);
                candidates.push(Candidate {
                    value: json!(name),
                    shown: name,
                    table: Some(at),
                    core: fit.mask,
                    context: self.table_words(at),
                    quality: fit.quality,
                });
            }
        }
        candidates
    }

    /// Time columns that the question names, or all when it speaks of time.
    fn times(&self) -> Vec<Candidate> {
        let spoken = self.question.time_words();
        let mut candidates = self.columns(&self.columns, |column| column.class == Class::Time);
        let plain = self
            .schema
            .tables
            .iter()
            .flat_map(|table| &table.columns)
            .filter(|column| column.class == Class::Time);
        for (candidate, column) in candidates.iter_mut().zip(plain) {
            let is_named = candidate.quality >= WEAKEST_FIT;
            candidate.core = if is_named { candidate.core | spoken } else { spoken };
            candidate.quality = candidate.quality.max(plainness(column));
        }
        candidates
    }

    fn numbers(&self) -> Vec<Candidate> {
        let number = |(at, word): (usize, &crate::question::Word)| {
            #[expect(clippy::cast_possible_truncation, reason = "a number without a fraction below 2^53")]
            let value =
                word.number.map(|value| if is_whole(value) { json!(value as i64) } else { json!(value) })?;
            Some(Candidate {
                value,
                shown: word.text.clone(),
                table: None,
                core: 1 << at,
                context: 0,
                quality: 1.0,
            })
        };
        self.question.indices().filter_map(number).collect()
    }
}

fn is_whole(value: f64) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.fract() == 0.0 && value.abs() < EXACT
}

/// Whether a word says only that a column holds a time.
fn is_generic_time(word: &str) -> bool {
    matches!(word, "date" | "time" | "datetime" | "timestamp" | "at" | "on" | "day" | "ts")
}

/// How likely a time column is the one that rows are dated by: `order_date` rather than `shipped_date` in orders.
fn plainness(column: &Column) -> f64 {
    let generic = |word: &String| is_generic_time(word);
    let made = |word: &String| generic(word) || matches!(word.as_str(), "created" | "placed" | "recorded");
    if column.words.iter().all(generic) {
        0.6
    } else if column.words.iter().all(made) {
        0.5
    } else {
        0.4
    }
}

/// How well a column agrees, by its name or by what it has to do with money.
fn fit_column(column: &Column, question: &Question) -> Fit {
    if !column.is_measure() {
        return fit_name(column, question);
    }
    let of_money = |word: &String| MoneySense::of_column(word, column.is_for_one());
    let senses: Vec<_> = column.words.iter().map(of_money).collect();
    fit(&column.words, &column.joined, &senses, question)
}

/// How well a column agrees by its name.
fn fit_name(column: &Column, question: &Question) -> Fit {
    let whole = fit(&column.words, &column.joined, &[], question);
    if column.class != Class::Time {
        return whole;
    }
    let telling: Vec<String> = column.words.iter().filter(|word| !is_generic_time(word)).cloned().collect();
    let telling =
        if telling.is_empty() { Fit::default() } else { fit(&telling, &column.joined, &[], question) };
    Fit { mask: whole.mask | telling.mask, quality: whole.quality.max(telling.quality) }
}

/// How well a name of these words agrees with the question; they may be a part of the `whole_name`. The last word is the
/// one that says what the thing is.
fn fit(name: &[String], whole_name: &str, senses: &[MoneySense], question: &Question) -> Fit {
    let joined = name.concat();
    let mut mask: Mask = 0;
    let mut best = vec![0.0_f64; name.len()];
    let mut whole = 0.0_f64;
    let mut before: Option<(usize, &str)> = None;
    for (at, word) in question.indices().filter(|(_, word)| word.may_name) {
        for (place, (own, best)) in name.iter().zip(&mut best).enumerate() {
            let sense = senses.get(place).map_or(0.0, |sense| word.money.fits(*sense));
            let likeness = words::likeness(&word.lower, own).max(sense);
            if likeness > 0.0 {
                mask |= 1 << at;
                *best = best.max(likeness);
            }
        }
        let stem = words::stem(&word.lower);
        let is_joined = name.len() > 1 && stem == words::stem(&joined);
        if is_joined || joined != whole_name && stem == words::stem(whole_name) {
            (mask, whole) = (mask | 1 << at, 1.0);
        }
        if let Some((previous, text)) = before.filter(|(previous, _)| name.len() == 1 && previous + 1 == at)
            && words::stem(&format!("{text}{}", word.lower)) == words::stem(&joined)
        {
            (mask, whole) = (mask | 1 << at | 1 << previous, 1.0);
        }
        before = Some((at, &word.lower));
    }
    #[expect(clippy::cast_precision_loss, reason = "a name has few words")]
    let share = best.iter().sum::<f64>() / name.len().max(1) as f64;
    let quality = match best.last() {
        Some(last) if *last > 0.0 => 0.5 * last + 0.5 * share,
        _ => 0.3 * share,
    };
    Fit { mask, quality: quality.max(whole) }
}
