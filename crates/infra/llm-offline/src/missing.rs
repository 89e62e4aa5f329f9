//! What keeps the pattern that fits best from being run.

use crate::matching::{Candidate, Matching};
use crate::pattern::{Kind, Parameter, Pattern};
use crate::question::Mask;
use crate::reference::Ends;
use crate::schema::{Column, Path};
use crate::scoring::{self, Scoring};

/// A pattern that fits but for something.
#[derive(Debug)]
pub(crate) struct Missing<'a> {
    pub(crate) pattern: &'a Pattern,
    /// The parameters without a value.
    pub(crate) wanted: Vec<Wanted<'a>>,
    /// Two tables that do not go together, when all values are there.
    pub(crate) apart: Option<Apart>,
    /// The words that the rest of the pattern does not account for.
    pub(crate) left_over: Mask,
    /// The share of the question that it would account for.
    pub(crate) coverage: f64,
}

/// A parameter without a value.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) parameter: &'a Parameter,
    /// The tables in which its value, or as which its value, would go together with what is known.
    pub(crate) tables: Vec<usize>,
}

/// Two tables that a pattern cannot bring together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Apart {
    /// The second cannot be joined to the first.
    Join(usize, usize),
    /// No single foreign key leads from the first to the second.
    Reference(usize, usize),
}

/// The pattern that fits best but for something that is missing.
pub(crate) fn missing<'a>(matching: &Matching<'_>, patterns: &'a [Pattern]) -> Option<Missing<'a>> {
    let runnable = patterns.iter().filter(|pattern| pattern.runs_on(&matching.schema.dialect));
    let weighed = runnable.filter_map(|pattern| {
        let known = Known::of(matching, pattern);
        let missing = known.missing();
        #[expect(clippy::cast_precision_loss, reason = "a pattern has few parameters")]
        let wanted = missing.wanted.len() as f64;
        let scoring = Scoring::new(matching, pattern, 0);
        let unasked: f64 = scoring.unasked(false).iter().sum();
        let weight = missing.coverage + scoring::share::CONFIDENCE * pattern.confidence
            - scoring::cost::MISSING * wanted
            - unasked;
        let lacks = !missing.wanted.is_empty() || missing.apart.is_some();
        (lacks && !scoring.counts_instead_of_measuring()).then_some((weight, missing))
    });
    weighed.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, missing)| missing)
}

/// What the question gives a pattern.
struct Known<'a, 'm> {
    matching: &'m Matching<'m>,
    pattern: &'a Pattern,
    ends: Option<Ends<'a>>,
    bound: Vec<(&'a Parameter, Candidate)>,
    unbound: Vec<&'a Parameter>,
}

impl<'a, 'm> Known<'a, 'm> {
    fn of(matching: &'m Matching<'m>, pattern: &'a Pattern) -> Self {
        let ends = Ends::of(pattern);
        let (mut bound, mut unbound) = (Vec::new(), Vec::new());
        let mut core = 0;
        for parameter in &pattern.parameters {
            let candidates = match &ends {
                Some(ends) if parameter.kind == Kind::Table => ends.candidates(parameter, matching),
                Some(_) if parameter.kind != Kind::Number => continue,
                _ => matching.candidates(parameter.kind),
            };
            match candidates.into_iter().find(|candidate| candidate.core & !core != 0) {
                Some(candidate) => {
                    core |= candidate.core;
                    bound.push((parameter, candidate));
                }
                None if parameter.must_be_bound() => unbound.push(parameter),
                None => {}
            }
        }
        Self { matching, pattern, ends, bound, unbound }
    }

    fn missing(&self) -> Missing<'a> {
        let mut context = self.bound.iter().fold(0, |mask, (_, candidate)| mask | candidate.context);
        let core = self.bound.iter().fold(0, |mask, (_, candidate)| mask | candidate.core);
        let wanted: Vec<Wanted<'a>> = self
            .unbound
            .iter()
            .map(|parameter| Wanted { parameter, tables: self.tables_for(parameter) })
            .collect();
        // The table that has the missing column may be named already.
        for table in
            wanted.iter().filter(|one| one.parameter.kind == Kind::Measure).flat_map(|one| &one.tables)
        {
            context |= self.matching.table_words(*table);
        }
        let own = scoring::own_words(self.matching, self.pattern);
        let times = self.matching.question.time_words();
        let (coverage, left_over) = scoring::coverage(&own, core & !times, context & !times);
        Missing { pattern: self.pattern, wanted, apart: self.apart(), left_over, coverage }
    }

    /// The tables of the bound parameters, those from which joins would lead first.
    fn tables(&self) -> Vec<usize> {
        let leads = |parameter: &Parameter| matches!(parameter.kind, Kind::Table | Kind::Measure);
        let mut tables: Vec<(bool, usize)> = self
            .bound
            .iter()
            .filter_map(|(parameter, candidate)| Some((!leads(parameter), candidate.table?)))
            .collect();
        tables.sort_unstable();
        tables.into_iter().map(|(_, table)| table).collect()
    }

    fn joins(&self, from: usize, to: usize) -> bool {
        matches!(self.matching.schema.path(from, to), Path::Through(_))
    }

    fn apart(&self) -> Option<Apart> {
        let table_of = |fits: &dyn Fn(&Parameter) -> bool| {
            self.bound
                .iter()
                .find(|(parameter, _)| fits(parameter))
                .and_then(|(_, candidate)| candidate.table)
        };
        if let Some(ends) = &self.ends {
            let things = table_of(&|parameter| ends.is_things(parameter))?;
            let others = table_of(&|parameter| ends.is_others(parameter))?;
            let (from, to) = ends.in_order(things, others);
            return self.matching.schema.reference(from, to).is_none().then_some(Apart::Reference(from, to));
        }
        let tables = self.tables();
        let base = *tables.first()?;
        let other = tables.iter().find(|table| !self.joins(base, **table))?;
        Some(Apart::Join(base, *other))
    }

    /// The tables that the value of an unbound parameter may be or belong to; of those only the ones that the question
    /// names, when it names some.
    fn tables_for(&self, parameter: &Parameter) -> Vec<usize> {
        let schema = self.matching.schema;
        let bound = self.tables();
        let goes_together = |table: usize| match (parameter.kind, bound.first()) {
            (Kind::Table | Kind::Measure, _) => bound.iter().all(|other| self.joins(table, *other)),
            (_, Some(base)) if !self.unbound.iter().any(|one| one.kind == Kind::Measure) => {
                self.joins(*base, table)
            }
            _ => true,
        };
        let has_measure = |table: usize| {
            schema.tables.get(table).is_some_and(|one| one.columns.iter().any(Column::is_measure))
        };
        let mut tables: Vec<usize> = match (&self.ends, bound.as_slice()) {
            (Some(ends), [known]) if ends.is_others(parameter) => ends.possible_others(*known, self.matching),
            (Some(_), _) => (0..schema.tables.len()).collect(),
            (None, _) => (0..schema.tables.len()).filter(|table| goes_together(*table)).collect(),
        };
        if parameter.kind == Kind::Measure {
            tables.retain(|table| has_measure(*table));
            if tables.iter().any(|table| self.matching.table_words(*table) != 0) {
                tables.retain(|table| self.matching.table_words(*table) != 0);
            }
        }
        tables
    }
}
