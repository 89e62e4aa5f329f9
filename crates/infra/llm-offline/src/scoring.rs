//! How good a plan is: what it explains of the question, how well, and what it does that nobody asked for.

use crate::matching::{Candidate, Matching};
use crate::pattern::{Kind, Pattern};
use crate::question::Mask;
use crate::schema::Table;
use crate::words::Concept;

/// What is to be said of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// Words that nothing accounts for.
    pub(crate) left_over: Mask,
    /// Whether one of those would change the answer.
    pub(crate) leaves_out: bool,
    /// Whether the pattern answers something that was not asked.
    pub(crate) strays: bool,
    /// The share of the question that is accounted for: 0 to 1.
    pub(crate) coverage: f64,
    /// What plans are ranked by: about 1 is best, and it may be below 0.
    pub(crate) score: f64,
}

/// Costs of what a good plan does not have, in the units of a score, which runs to about 1.
pub(crate) mod cost {
    pub(crate) const JOIN: f64 = 0.05;
    pub(crate) const PARAMETER: f64 = 0.03;
    pub(crate) const UNASKED: f64 = 0.16;
    pub(crate) const UNASKED_ORDER: f64 = 0.15;
    pub(crate) const UNASKED_EXTRA: f64 = 0.02;
    pub(crate) const MISSING: f64 = 0.1;
    pub(crate) const UNGROUPED: f64 = 0.15;
    pub(crate) const STRANGE_NUMBER: f64 = 0.05;
    pub(crate) const IGNORED_FILTER: f64 = 0.3;
    pub(crate) const IMPLIED_TABLE: f64 = 0.1;
}

/// What each part of a score counts for.
pub(crate) mod share {
    pub(crate) const COVERAGE: f64 = 0.6;
    pub(crate) const QUALITY: f64 = 0.25;
    pub(crate) const CONFIDENCE: f64 = 0.15;
}

/// Judges the plans of one pattern.
pub(crate) struct Scoring<'a, 'm> {
    matching: &'m Matching<'m>,
    pattern: &'a Pattern,
    /// How well the pattern itself accounts for each word of the question.
    own: Vec<f64>,
    /// The words that may not be left over.
    essential: Mask,
}

impl<'a, 'm> Scoring<'a, 'm> {
    pub(crate) fn new(matching: &'m Matching<'m>, pattern: &'a Pattern, essential: Mask) -> Self {
        Self { matching, pattern, own: own_words(matching, pattern), essential }
    }

    /// Judges a plan with these values and joined tables, of which the first is the base; `cost` is what its values
    /// have cost already.
    pub(crate) fn judge(&self, bound: &[(&str, Candidate)], joined: &[usize], cost: f64) -> Verdict {
        let question = self.matching.question;
        let tables = joined.iter().fold(0, |mask, table| mask | self.matching.table_words(*table));
        let pairs = joined.iter().flat_map(|from| joined.iter().map(move |to| (*from, *to)));
        let tables = pairs.fold(tables, |mask, (from, to)| mask | self.matching.key_words(from, to));
        let core = bound.iter().fold(0, |mask, (_, candidate)| mask | candidate.core);
        let context = bound.iter().fold(tables, |mask, (_, candidate)| mask | candidate.context);
        // How finely to cut time is the pattern's to say, whatever the column.
        let times = question.time_words();
        let (coverage, left_over) = coverage(&self.own, core & !times, context & !times);
        let names = bound.iter().filter(|(_, candidate)| candidate.table.is_some());
        let (count, quality) =
            names.fold((0.0, 0.0), |(count, sum), (_, one)| (count + 1.0, sum + one.quality));
        #[expect(clippy::cast_precision_loss, reason = "few tables are joined")]
        let joins = joined.len().saturating_sub(1) as f64;
        let unasked = self.unasked(joined.len() > 1);
        let strays = unasked.last().is_some_and(|dearest| *dearest >= cost::UNASKED);
        let leaves_out = self.essential & left_over != 0;
        let groups = question.mask(|word| word.groups);
        let mut cost = cost + cost::JOIN * joins + cost::PARAMETER * count + unasked.iter().sum::<f64>();
        if groups & !self.grouping(bound) != 0 {
            cost += cost::UNGROUPED;
        }
        if leaves_out {
            cost += cost::IGNORED_FILTER;
        }
        let quality = if count > 0.0 { quality / count } else { 0.0 };
        let confidence = self.pattern.confidence.clamp(0.0, 1.0);
        let merit = share::COVERAGE * coverage + share::QUALITY * quality + share::CONFIDENCE * confidence;
        Verdict { left_over, leaves_out, strays, coverage, score: merit - cost }
    }

    /// Whether these values would answer another question: by counting what is to be measured, by adding up prices, or
    /// without the largest of each group that is asked for.
    pub(crate) fn misleads(&self, bound: &[(&str, Candidate)]) -> bool {
        self.counts_instead_of_measuring()
            || self.counts_oddly(bound)
            || self.adds_up_prices(bound)
            || self.misses_the_groups(bound)
    }

    /// Whether single rows, or ranked sums, would be shown where the question asks for one row of each group.
    fn misses_the_groups(&self, bound: &[(&str, Candidate)]) -> bool {
        let question = self.matching.question;
        let own = self.pattern.concepts();
        let shows_rows = own.contains(&Concept::Rows);
        let ranks_sums = own.contains(&Concept::Sum) && !own.contains(&Concept::Bottom);
        let is_unasked_sum = ranks_sums && question.compares_sizes() && !question.asks_for(Concept::Sum);
        let measures = self.of_kind(bound, Kind::Measure).is_some();
        question.distributes && measures && (shows_rows || is_unasked_sum)
    }

    /// Whether the largest by some measure is asked for and the pattern has none.
    pub(crate) fn counts_instead_of_measuring(&self) -> bool {
        let question = self.matching.question;
        let measures = self.pattern.kinds().any(|kind| kind == Kind::Measure);
        !measures && question.compares_sizes() && !question.asks_for(Concept::Count)
    }

    /// Whether rows would be counted for each row of the same table, for one of two things named side by side, or for
    /// each value of a column that rows were to have: `how many customers have a fax`.
    fn counts_oddly(&self, bound: &[(&str, Candidate)]) -> bool {
        let (Some(counted), Some(label), None) = (
            self.of_kind(bound, Kind::Table),
            self.of_kind(bound, Kind::Label),
            self.of_kind(bound, Kind::Measure),
        ) else {
            return false;
        };
        let (question, schema) = (self.matching.question, self.matching.schema);
        let names = label.table.and_then(|at| self.matching.row_names(at));
        let names_rows = names.is_some_and(|names| names.value == label.value);
        let has_key = label.table.and_then(|at| schema.tables.get(at)).is_some_and(Table::has_key);
        let is_own = counted.table == label.table;
        let is_unasked = question.asks_for(Concept::Count) && !question.groups;
        let is_odd = is_unasked && (is_own || !names_rows) || is_own && names_rows && has_key;
        self.pattern.concepts().contains(&Concept::Count) && is_odd
            || self.matching.are_beside(counted, label)
    }

    /// Whether unit prices or rates would be added up though nobody asked for a sum.
    fn adds_up_prices(&self, bound: &[(&str, Candidate)]) -> bool {
        const WITHOUT_SUMS: [Concept; 5] =
            [Concept::Average, Concept::Median, Concept::Rows, Concept::Outlier, Concept::Distribution];
        let adds_up = !self.pattern.concepts().iter().any(|concept| WITHOUT_SUMS.contains(concept));
        let is_price =
            self.of_kind(bound, Kind::Measure).is_some_and(|measure| self.matching.is_for_one(measure));
        adds_up && is_price && !self.matching.question.asks_for(Concept::Sum)
    }

    /// The value of the first parameter of a kind.
    fn of_kind<'b>(&self, bound: &'b [(&str, Candidate)], kind: Kind) -> Option<&'b Candidate> {
        let is_meant =
            |name: &str| self.pattern.parameters.iter().any(|one| one.name == name && one.kind == kind);
        bound.iter().find(|(name, _)| is_meant(name)).map(|(_, candidate)| candidate)
    }

    /// The words that call for what there is one row of.
    fn grouping(&self, bound: &[(&str, Candidate)]) -> Mask {
        let concepts = self.pattern.concepts();
        let lists = concepts.contains(&Concept::Rows) && !concepts.contains(&Concept::Count);
        let is_for_rows = |kind: Kind| kind.groups() || lists && kind == Kind::Table;
        let groups =
            |name: &str| self.pattern.parameters.iter().any(|one| one.name == name && is_for_rows(one.kind));
        bound.iter().filter(|(name, _)| groups(name)).fold(0, |mask, (_, candidate)| mask | candidate.core)
    }

    /// What it costs that the pattern does things nobody asked for, the dearest of them last.
    pub(crate) fn unasked(&self, reaches_out: bool) -> Vec<f64> {
        let question = self.matching.question;
        let own = self.pattern.concepts();
        let has = |fits: fn(Kind) -> bool| self.pattern.kinds().any(fits);
        let has_measure = has(|kind| kind == Kind::Measure);
        let counts_groups = !has_measure && has(Kind::groups);
        let asks_for = |concept: Concept| {
            let implied = counts_groups && (question.compares_counts() || !question.asks_for_an_aggregate());
            question.asks_for(concept) || concept == Concept::Count && implied
        };
        let asks_for_a_time = question.time_words() != 0;
        let answers_an_aggregate = own.iter().any(|concept| concept.is_aggregate() && asks_for(*concept));
        let is_list = own.contains(&Concept::Top) && own.contains(&Concept::Bottom);
        let cost = |concept: &Concept| match concept {
            concept if asks_for(*concept) => 0.0,
            // Single rows of another table say nothing of a thing as a whole.
            Concept::Rows if has_measure && reaches_out => cost::UNASKED_ORDER,
            Concept::Rows => 0.0,
            Concept::Trend if asks_for_a_time => 0.0,
            Concept::Top | Concept::Bottom if is_list => cost::UNASKED_EXTRA,
            Concept::Top | Concept::Distribution => cost::UNASKED_ORDER,
            Concept::Sum => cost::UNASKED_EXTRA,
            // Beside a sum it is one of several numbers; alone it is another answer.
            Concept::Average if !own.contains(&Concept::Sum) => cost::UNASKED,
            Concept::Count | Concept::Average | Concept::Median if answers_an_aggregate => {
                cost::UNASKED_EXTRA
            }
            concept if concept.is_period() && question.asks_for(Concept::Trend) => cost::UNASKED_EXTRA,
            _ => cost::UNASKED,
        };
        let mut costs: Vec<f64> = own.iter().map(cost).collect();
        costs.sort_by(f64::total_cmp);
        costs
    }
}

pub(crate) fn own_words(matching: &Matching<'_>, pattern: &Pattern) -> Vec<f64> {
    matching.question.words.iter().map(|word| pattern.accounts_for(word)).collect()
}

/// The share of the question that is accounted for by the words that call for values, by those around them (`context`)
/// and by the pattern's `own`; and what is left over.
pub(crate) fn coverage(own: &[f64], core: Mask, context: Mask) -> (f64, Mask) {
    const CONTEXT: f64 = 0.98;
    let (mut known, mut all, mut left_over) = (0.0, 0.0, 0);
    for (at, own) in own.iter().enumerate() {
        let around = if context >> at & 1 == 1 { CONTEXT } else { 0.0 };
        let share = if core >> at & 1 == 1 { 1.0 } else { own.max(around) };
        known += share;
        all += 1.0;
        if share == 0.0 {
            left_over |= 1 << at;
        }
    }
    (if all > 0.0 { known / all } else { 0.0 }, left_over)
}
