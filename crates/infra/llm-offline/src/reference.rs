//! Patterns about the reference between two tables: things that nothing refers to, references that point to nothing.
//!
//! Their columns are not named in a question. They follow from the two tables when one foreign key leads from one to
//! the other.

use serde_json::json;

use crate::matching::{Candidate, Matching};
use crate::pattern::{Kind, Parameter, Pattern};
use crate::question::Mask;
use crate::words;

/// The parameters of such a pattern, by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    /// The table of the things asked for.
    things: &'a str,
    /// The table at the other end.
    others: &'a str,
    referring: &'a str,
    referred: &'a str,
    /// Which of the tables refers.
    direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToThings,
    ToOthers,
}

impl<'a> Ends<'a> {
    /// The ends that a pattern speaks of; `None` for a pattern about something else. Each column belongs to the table
    /// that stands before it among the parameters, and its description says whether it is referring or referred to.
    pub(crate) fn of(pattern: &'a Pattern) -> Option<Self> {
        let mut tables: Vec<&str> = Vec::new();
        let (mut referring, mut referred) = (Vec::new(), Vec::new());
        for parameter in &pattern.parameters {
            let says = |word: &str| words::split(&parameter.description).contains(&word);
            match parameter.kind {
                Kind::Table => tables.push(&parameter.name),
                Kind::Column if says("referring") => referring.push((parameter.name.as_str(), tables.len())),
                Kind::Column if says("referred") => referred.push((parameter.name.as_str(), tables.len())),
                Kind::Label | Kind::Number => {}
                Kind::Column | Kind::Measure | Kind::Time | Kind::Other => return None,
            }
        }
        let ([things, others], [(referring, from)], [(referred, to)]) =
            (tables.as_slice(), referring.as_slice(), referred.as_slice())
        else {
            return None;
        };
        let direction = match (from, to) {
            (1, 2) => Direction::ToOthers,
            (2, 1) => Direction::ToThings,
            _ => return None,
        };
        Some(Self { things, others, referring, referred, direction })
    }

    /// The tables that one of its table parameters may be: the things stand before the word that excludes, the others
    /// right after it.
    pub(crate) fn candidates(&self, parameter: &Parameter, matching: &Matching<'_>) -> Vec<Candidate> {
        let excludes = |word: &str| match self.direction {
            Direction::ToThings => words::excludes(word),
            Direction::ToOthers => words::is_dangling(word),
        };
        let at: Mask = matching.question.mask(|word| excludes(&word.lower));
        if at.count_ones() != 1 {
            return Vec::new();
        }
        let place = if parameter.name == self.things { at - 1 } else { at << 1 };
        let mut candidates = matching.candidates(Kind::Table);
        candidates.retain(|candidate| candidate.core & place != 0);
        candidates
    }

    pub(crate) fn is_things(&self, parameter: &Parameter) -> bool {
        parameter.name == self.things
    }

    pub(crate) fn is_others(&self, parameter: &Parameter) -> bool {
        parameter.name == self.others
    }

    /// The referring table and the one referred to.
    pub(crate) fn in_order(&self, things: usize, others: usize) -> (usize, usize) {
        match self.direction {
            Direction::ToThings => (others, things),
            Direction::ToOthers => (things, others),
        }
    }

    /// The tables that could stand at the other end of `things`.
    pub(crate) fn possible_others(&self, things: usize, matching: &Matching<'_>) -> Vec<usize> {
        let is_end = |others: &usize| {
            let (from, to) = self.in_order(things, *others);
            *others != things && matching.schema.reference(from, to).is_some()
        };
        (0..matching.schema.tables.len()).filter(is_end).collect()
    }

    /// What follows from the tables for another parameter; `None` when no single foreign key connects them, or for a
    /// parameter that does not follow.
    pub(crate) fn implied(
        &self,
        parameter: &Parameter,
        (things, others): (&Candidate, &Candidate),
        matching: &Matching<'_>,
    ) -> Option<Candidate> {
        if parameter.kind == Kind::Label {
            return matching.row_names(things.table?);
        }
        let (from, to) = self.in_order(things.table?, others.table?);
        let (referring, referred) = matching.schema.reference(from, to)?;
        let (table, column) = match parameter.name.as_str() {
            name if name == self.referring => (from, referring),
            name if name == self.referred => (to, referred),
            _ => return None,
        };
        let shown = format!("{}.{column}", matching.schema.tables.get(table)?.name);
        Some(Candidate { value: json!(shown), shown, table: Some(table), core: 0, context: 0, quality: 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_read_from_the_parameters() {
        let ends = |columns: [(&str, &str); 2]| {
            let parameter = |name: &str, kind: &str, description: &str| json!({"name": name, "type": kind, "required": true, "description": description});
            let parameters = [
                parameter("a", "table", "the things"),
                parameter(columns[0].0, "column", columns[0].1),
                parameter("b", "table", "the others"),
                parameter(columns[1].0, "column", columns[1].1),
                parameter("limit", "number", "how many to show"),
            ];
            let found = json!({"patterns": [{"name": "p", "executable": true, "parameters": parameters}]});
            let patterns = Pattern::read_all(&found.to_string()).unwrap();
            Ends::of(&patterns[0]).map(|ends| (ends.direction, ends.referring.to_owned()))
        };
        let (referring, referred) = ("its referring column", "the column that is referred to");
        assert_eq!(ends([("x", referred), ("y", referring)]), Some((Direction::ToThings, "y".into())));
        assert_eq!(ends([("x", referring), ("y", referred)]), Some((Direction::ToOthers, "x".into())));
        assert_eq!(ends([("x", referring), ("y", referring)]), None);
        assert_eq!(ends([("x", "a column"), ("y", referring)]), None);
    }
}
