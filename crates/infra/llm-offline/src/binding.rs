//! Chooses a pattern and the values of its parameters so that as much of the question as possible is explained.

use serde_json::{Map, Value};

use crate::matching::{Candidate, Matching};
use crate::pattern::{Kind, Parameter, Pattern};
use crate::question::Mask;
use crate::reference::Ends;
use crate::schema::Path;
use crate::scoring::{self, Scoring, Verdict};

/// A pattern that can be run to answer a question.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) pattern: &'a Pattern,
    /// The backend it is for, by its place among the tools.
    pub(crate) backend: usize,
    pub(crate) bound: Vec<(&'a str, Candidate)>,
    /// The tables joined, the base table first; empty without a join.
    pub(crate) joined: Vec<String>,
    pub(crate) verdict: Verdict,
}

impl Plan<'_> {
    /// The parameters as the tool wants them.
    pub(crate) fn parameters(&self) -> Map<String, Value> {
        self.bound.iter().map(|(name, candidate)| ((*name).to_owned(), candidate.value.clone())).collect()
    }

    /// How many rows the pattern shows when the question gives it no number.
    pub(crate) fn default_limit(&self) -> Option<usize> {
        let limit = self.pattern.parameters.iter().find(|parameter| parameter.is_limit())?;
        let is_bound = self.bound.iter().any(|(name, _)| *name == limit.name);
        limit.default.as_u64().filter(|_| !is_bound).and_then(|rows| usize::try_from(rows).ok())
    }

    /// What tells this plan from another of the same pattern that explains the question no worse.
    pub(crate) fn rival<'p>(&'p self, plans: &'p [Self]) -> Option<(&'p str, &'p str, &'p str)> {
        const TIE: f64 = 0.005;
        let equal = plans.iter().skip(1).find(|plan| {
            plan.pattern.name == self.pattern.name
                && plan.backend == self.backend
                && self.verdict.score - plan.verdict.score < TIE
                && plan.parameters() != self.parameters()
        })?;
        self.bound.iter().find_map(|(name, mine)| {
            let (_, theirs) = equal.bound.iter().find(|(other, _)| other == name)?;
            (mine.core != 0 && mine.value != theirs.value).then_some((
                *name,
                mine.shown.as_str(),
                theirs.shown.as_str(),
            ))
        })
    }
}

/// Every way to answer the question with one of `patterns`, best first.
pub(crate) fn plans<'a>(matching: &Matching<'_>, patterns: &'a [Pattern], backend: usize) -> Vec<Plan<'a>> {
    let essential = matching.essential_words();
    let mut plans = Vec::new();
    for pattern in patterns.iter().filter(|pattern| pattern.runs_on(&matching.schema.dialect)) {
        let ends = Ends::of(pattern);
        // What things do not have is said by every word: `no paid invoices` is not `no invoices`.
        let essential = if ends.is_some() { Mask::MAX } else { essential };
        let scoring = Scoring::new(matching, pattern, essential);
        let mut search =
            Search { matching, pattern, ends, backend, scoring, choices: Vec::new(), found: Vec::new() };
        search.choices = pattern.parameters.iter().map(|parameter| search.choices_for(parameter)).collect();
        search.bind(&mut Vec::new());
        plans.append(&mut search.found);
    }
    plans.sort_by(|a, b| b.verdict.score.total_cmp(&a.verdict.score));
    plans
}

/// What one parameter may be; one without words of its own may be implied by the others.
#[derive(Clone)]
enum Choice {
    Unbound,
    Implied,
    Bound(Candidate),
}

struct Search<'a, 'm> {
    matching: &'m Matching<'m>,
    pattern: &'a Pattern,
    ends: Option<Ends<'a>>,
    backend: usize,
    scoring: Scoring<'a, 'm>,
    choices: Vec<Vec<Choice>>,
    found: Vec<Plan<'a>>,
}

impl<'a> Search<'a, '_> {
    fn choices_for(&self, parameter: &'a Parameter) -> Vec<Choice> {
        let mut candidates = match &self.ends {
            Some(ends) if parameter.kind == Kind::Table => ends.candidates(parameter, self.matching),
            Some(_) if parameter.kind != Kind::Number => return vec![Choice::Implied],
            _ => self.matching.candidates(parameter.kind),
        };
        if parameter.kind == Kind::Number {
            for number in &mut candidates {
                self.place_number(parameter, number);
            }
        }
        let mut choices: Vec<Choice> = candidates.into_iter().map(Choice::Bound).collect();
        let has_column = self.pattern.kinds().any(|kind| matches!(kind, Kind::Column | Kind::Measure));
        if parameter.kind == Kind::Table && has_column && self.ends.is_none() {
            choices.push(Choice::Implied);
        }
        if !parameter.must_be_bound() {
            choices.push(Choice::Unbound);
        }
        choices
    }

    /// A number belongs to the parameter that the words beside it name, else to the one that limits the rows.
    fn place_number(&self, parameter: &Parameter, number: &mut Candidate) {
        let named =
            self.matching.question.mask(|word| crate::words::likeness(&word.lower, &parameter.name) > 0.0);
        number.context = named & (number.core << 1 | number.core >> 1);
        let others_limit =
            self.pattern.parameters.iter().any(|other| other.is_limit() && other.name != parameter.name);
        if number.context == 0 && others_limit && !parameter.is_limit() {
            number.quality = 0.0;
        }
    }

    /// Tries every choice for the parameter after those already `chosen`.
    fn bind(&mut self, chosen: &mut Vec<Choice>) {
        /// A pattern with so many ways has parameters that the question says nothing about.
        const MAX_FOUND: usize = 4_096;
        let Some(choices) = self.choices.get(chosen.len()).cloned() else {
            self.found.extend(self.plan(chosen));
            return;
        };
        for choice in choices {
            if self.found.len() < MAX_FOUND && calls_for_own_words(&choice, chosen) {
                chosen.push(choice);
                self.bind(chosen);
                chosen.pop();
            }
        }
    }

    /// The plan of a whole choice, when its tables hang together.
    fn plan(&self, chosen: &[Choice]) -> Option<Plan<'a>> {
        if let Some(ends) = &self.ends {
            return self.plan_of_reference(ends, chosen);
        }
        let parameters = || self.pattern.parameters.iter().zip(chosen);
        let first_of = |kind: Kind| {
            parameters().find_map(|(parameter, choice)| match choice {
                Choice::Bound(candidate) if parameter.kind == kind => candidate.table,
                _ => None,
            })
        };
        let first = parameters().find_map(|(_, choice)| match choice {
            Choice::Bound(candidate) => candidate.table,
            _ => None,
        });
        let base = first_of(Kind::Table)
            .or_else(|| first_of(Kind::Measure))
            .or_else(|| first_of(Kind::Time))
            .or(first);
        let mut cost = 0.0;
        let mut bound: Vec<(&'a str, Candidate)> = Vec::new();
        for (parameter, choice) in parameters() {
            match choice {
                Choice::Unbound => {}
                Choice::Bound(candidate) => {
                    cost += if candidate.quality > 0.0 { 0.0 } else { scoring::cost::STRANGE_NUMBER };
                    bound.push((parameter.name.as_str(), candidate.clone()));
                }
                Choice::Implied => {
                    cost += scoring::cost::IMPLIED_TABLE;
                    bound.push((parameter.name.as_str(), implied(self.matching, base?)?));
                }
            }
        }
        if self.scoring.misleads(&bound) {
            return None;
        }
        let joined = self.join(base, &bound)?;
        let verdict = self.scoring.judge(&bound, &joined, cost);
        let name = |table: &usize| self.matching.schema.tables.get(*table).map(|table| table.name.clone());
        let joined = if joined.len() > 1 { joined.iter().filter_map(name).collect() } else { Vec::new() };
        Some(Plan { pattern: self.pattern, backend: self.backend, bound, joined, verdict })
    }

    /// The plan of a pattern about a reference, when one foreign key connects its tables.
    fn plan_of_reference(&self, ends: &Ends<'a>, chosen: &[Choice]) -> Option<Plan<'a>> {
        let parameters = || self.pattern.parameters.iter().zip(chosen);
        let chosen_for = |is_meant: &dyn Fn(&Parameter) -> bool| {
            parameters().find_map(|(parameter, choice)| match choice {
                Choice::Bound(candidate) if is_meant(parameter) => Some(candidate),
                _ => None,
            })
        };
        let things = chosen_for(&|parameter| ends.is_things(parameter))?;
        let others = chosen_for(&|parameter| ends.is_others(parameter))?;
        let mut bound: Vec<(&'a str, Candidate)> = Vec::new();
        for (parameter, choice) in parameters() {
            let candidate = match choice {
                Choice::Unbound => continue,
                Choice::Bound(candidate) => candidate.clone(),
                Choice::Implied => ends.implied(parameter, (things, others), self.matching)?,
            };
            bound.push((parameter.name.as_str(), candidate));
        }
        let verdict = self.scoring.judge(&bound, &[], 0.0);
        Some(Plan { pattern: self.pattern, backend: self.backend, bound, joined: Vec::new(), verdict })
    }

    /// The base table and those joined to it; `None` when one cannot be reached.
    fn join(&self, base: Option<usize>, bound: &[(&str, Candidate)]) -> Option<Vec<usize>> {
        let Some(base) = base else { return Some(Vec::new()) };
        let mut joined = vec![base];
        for to in bound.iter().filter_map(|(_, candidate)| candidate.table) {
            let Path::Through(steps) = self.matching.schema.path(base, to) else { return None };
            for step in steps {
                if !joined.contains(&step) {
                    joined.push(step);
                }
            }
        }
        Some(joined)
    }
}

/// Whether each choice can be called for by a word of its own.
fn calls_for_own_words(choice: &Choice, chosen: &[Choice]) -> bool {
    let cores = chosen.iter().chain([choice]).filter_map(|choice| match choice {
        Choice::Bound(candidate) => Some(candidate.core),
        Choice::Unbound | Choice::Implied => None,
    });
    let repeats = |other: &Choice| match (choice, other) {
        (Choice::Bound(one), Choice::Bound(other)) => one.value == other.value,
        _ => false,
    };
    have_own_words(&cores.collect::<Vec<_>>(), 0) && !chosen.iter().any(repeats)
}

/// Whether every set can be given a word that no other is given, nor is among those `taken`.
fn have_own_words(cores: &[Mask], taken: Mask) -> bool {
    let Some((core, rest)) = cores.split_first() else { return true };
    let free = core & !taken;
    (0..Mask::BITS).map(|at| 1 << at).any(|word| free & word != 0 && have_own_words(rest, taken | word))
}

/// The table that the other parameters speak of.
fn implied(matching: &Matching<'_>, table: usize) -> Option<Candidate> {
    let name = matching.schema.tables.get(table)?.name.clone();
    let value = Value::String(name.clone());
    Some(Candidate { value, shown: name, table: Some(table), core: 0, context: 0, quality: 0.5 })
}
