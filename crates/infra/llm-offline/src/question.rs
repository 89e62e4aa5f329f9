//! The question as words that must each be accounted for.

use crate::words::{self, Concept, MoneySense};

/// Questions are cut here: a set of words must fit one [`Mask`].
const MAX_WORDS: usize = 64;

/// A set of a question's words, by position.
pub(crate) type Mask = u64;

/// A user's question.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// Its words, without those that mean nothing.
    pub(crate) words: Vec<Word>,
    /// Whether it asks for something of each group: `by country`, `each artist`.
    pub(crate) groups: bool,
    /// Whether it asks for one row of each group: `per country`, `each artist`.
    pub(crate) distributes: bool,
    /// The words that stand beside the one before them: employees in `customers and employees`.
    pub(crate) beside: Mask,
    /// Whether words had to be left off.
    pub(crate) is_too_long: bool,
}

/// A word that means something.
#[derive(Debug)]
pub(crate) struct Word {
    /// As written.
    pub(crate) text: String,
    /// In lower case.
    pub(crate) lower: String,
    /// What it asks for.
    pub(crate) concept: Option<Concept>,
    /// The number it is, unless it looks like a year to filter by.
    pub(crate) number: Option<f64>,
    /// Whether it may stand for a name in the schema.
    pub(crate) may_name: bool,
    /// Whether it says what to group by: `per customer`, `in each country`, `which artists`, `top 5 customers`.
    pub(crate) groups: bool,
    /// What it has to do with money.
    pub(crate) money: MoneySense,
    /// Whether leaving it out would answer another question: a value to filter by, a comparison.
    pub(crate) may_filter: bool,
}

impl Question {
    pub(crate) fn read(text: &str) -> Self {
        let text = join_thousands(text);
        let spoken: Vec<(String, String)> =
            words::split(&text).into_iter().map(|word| (word.to_owned(), word.to_lowercase())).collect();
        let lower = |at: usize| spoken.get(at).map_or("", |(_, lower)| lower.as_str());
        let any = |is_meant: fn(&str) -> bool| spoken.iter().any(|(_, word)| is_meant(word));
        let mut question = Self {
            groups: any(words::asks_for_groups),
            distributes: any(words::distributes),
            ..Self::default()
        };
        for (at, (text, word)) in spoken.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", lower);
            let is_article =
                |word: &(String, String)| matches!(word.1.as_str(), "the" | "a" | "an" | "all" | "our");
            let led_by =
                spoken[..at].iter().rev().find(|word| !is_article(word)).map_or("", |(_, lower)| lower);
            let after = lower(at + 1);
            // `top 5 customers` leads to the customers as `top customers` does.
            let lead =
                if words::number(before).is_some() { at.checked_sub(2).map_or("", lower) } else { before };
            let phrase = phrase(before, word, after);
            if phrase.is_none() && words::is_stop_word(word) || (before, word.as_str()) == ("in", "total") {
                continue;
            }
            if question.words.len() == MAX_WORDS {
                question.is_too_long = true;
                break;
            }
            if matches!(before, "and" | "or") {
                question.beside |= 1 << question.words.len();
            }
            let concept = phrase.or_else(|| words::concept(word));
            let is_capitalised = at > 0 && text.chars().next().is_some_and(char::is_uppercase);
            let number = words::number(word);
            let is_year = number.is_some_and(|value| (1900.0..=2100.0).contains(&value))
                && words::concept(before) != Some(Concept::Top);
            question.words.push(Word {
                text: match word.as_str() {
                    "many" | "much" if before == "how" => format!("how {word}"),
                    _ => text.clone(),
                },
                lower: word.clone(),
                concept,
                number: number.filter(|_| !is_year),
                may_name: phrase.is_none() && number.is_none(),
                groups: groups(lead) && number.is_none(),
                money: MoneySense::asked(word),
                may_filter: groups(lead)
                    || is_capitalised
                    || number.is_some()
                    || words::is_comparing(word) && phrase.is_none()
                    || words::leads_to_a_filter(led_by)
                    || concept.is_some_and(Concept::changes_the_answer),
            });
        }
        question
    }

    /// The words that fit, as a set.
    pub(crate) fn mask(&self, fits: impl Fn(&Word) -> bool) -> Mask {
        self.indices().filter(|(_, word)| fits(word)).fold(0, |mask, (at, _)| mask | 1 << at)
    }

    /// The words that ask for a time column.
    pub(crate) fn time_words(&self) -> Mask {
        self.mask(|word| word.concept.is_some_and(Concept::is_about_time))
    }

    /// The words of a set as written, in order.
    pub(crate) fn texts(&self, mask: Mask) -> Vec<&str> {
        self.indices().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, word)| word.text.as_str()).collect()
    }

    /// All words with their position.
    pub(crate) fn indices(&self) -> impl Iterator<Item = (usize, &Word)> {
        self.words.iter().enumerate()
    }

    pub(crate) fn asks_for(&self, concept: Concept) -> bool {
        self.words.iter().any(|word| word.concept == Some(concept))
    }

    /// Whether it asks for a number made of many, or for an order.
    pub(crate) fn asks_for_an_aggregate(&self) -> bool {
        self.words.iter().any(|word| word.concept.is_some_and(Concept::is_aggregate))
    }

    /// Whether it asks who has most or least of something, which is a count unless a measure is named.
    pub(crate) fn compares_counts(&self) -> bool {
        self.words.iter().any(|word| matches!(word.lower.as_str(), "most" | "fewest" | "least"))
    }

    /// Whether it asks for what is largest or smallest in a way that no count of rows answers: the longest track.
    pub(crate) fn compares_sizes(&self) -> bool {
        self.words.iter().any(|word| words::is_size(&word.lower))
    }
}

/// What a word means together with its neighbours; `None` when it is not part of a phrase.
fn phrase(before: &str, word: &str, after: &str) -> Option<Concept> {
    match (before, word, after) {
        ("how", "many", _) | (_, "number", "of") => Some(Concept::Count),
        ("how", "much", _) => Some(Concept::Sum),
        (_, "most", "recent") => Some(Concept::Recent),
        (before, "over", after) if before == after => Some(Concept::Change),
        (_, "over", "time") | ("over", "time", _) => Some(Concept::Trend),
        _ => None,
    }
}

/// Whether what follows this word is what rows are grouped by.
fn groups(lead: &str) -> bool {
    matches!(lead, "per" | "each" | "every" | "which" | "top")
}

/// `1,000` is one number.
fn join_thousands(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let separates = |at: usize| chars[at] == ',' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    (0..chars.len()).filter(|at| !separates(*at)).map(|at| chars[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Vec<String> {
        Question::read(text).words.into_iter().map(|word| word.lower).collect()
    }

    #[test]
    fn words_that_mean_nothing_are_dropped() {
        assert_eq!(
            kept("Who are the top 5 customers by total spend?"),
            ["top", "5", "customers", "total", "spend"]
        );
        assert_eq!(kept("How many invoices are there?"), ["many", "invoices"]);
        assert_eq!(
            kept("Sum Invoice.Total by BillingCountry"),
            ["sum", "invoice", "total", "billing", "country"]
        );
    }

    #[test]
    fn values_to_filter_by_are_noticed() {
        let filters = |text: &str| -> Vec<String> {
            Question::read(text)
                .words
                .into_iter()
                .filter(|word| word.may_filter)
                .map(|word| word.text)
                .collect()
        };
        assert_eq!(filters("customers in germany with more than 3 orders"), ["germany", "more", "than", "3"]);
        assert_eq!(filters("List customers named Smith"), ["Smith"]);
        assert_eq!(Question::read("revenue in 2013").words[1].number, None);
        assert_eq!(Question::read("top 2000 songs").words[1].number, Some(2000.0));
        assert_eq!(Question::read("the 1,500 songs").words[0].number, Some(1500.0));
    }

    #[test]
    fn a_very_long_question_is_cut() {
        assert!(Question::read(&"word ".repeat(100)).is_too_long);
    }
}
