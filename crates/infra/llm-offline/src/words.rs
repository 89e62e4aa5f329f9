//! Words as they are compared: split, stemmed, and grouped where English says one thing in many ways.
//!
//! The groups hold words of analytics only, nothing about any database.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word asks for, apart from names in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concept {
    Count,
    Sum,
    Average,
    Top,
    Bottom,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Trend,
    Change,
    Running,
    Missing,
    Duplicate,
    Share,
    Distribution,
    Median,
    Outlier,
    Recent,
    Earliest,
    Rows,
}

impl Concept {
    /// Whether it asks for a time column.
    pub(crate) const fn is_about_time(self) -> bool {
        self.is_period()
            || matches!(self, Self::Trend | Self::Change | Self::Running | Self::Recent | Self::Earliest)
    }

    /// Whether it is a span of time to group by.
    pub(crate) const fn is_period(self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month | Self::Quarter | Self::Year)
    }

    /// Whether it is one number made of many.
    pub(crate) const fn is_aggregate(self) -> bool {
        matches!(self, Self::Count | Self::Sum | Self::Average | Self::Top | Self::Bottom | Self::Median)
    }

    /// Whether leaving it out changes the answer.
    pub(crate) const fn changes_the_answer(self) -> bool {
        !matches!(self, Self::Sum | Self::Rows)
    }
}

/// The concept groups; words that are not plain are listed in each form.
const CONCEPTS: &[(Concept, &str)] = &[
    (Concept::Count, "count tally popular common frequent often"),
    (Concept::Sum, "sum total overall altogether"),
    (Concept::Average, "average avg mean averaged"),
    (Concept::Top, "top most highest best largest biggest greatest max maximum longest rank"),
    (Concept::Bottom, "bottom least lowest fewest worst smallest min minimum shortest cheapest"),
    (Concept::Hour, "hour hourly"),
    (Concept::Day, "day daily"),
    (Concept::Week, "week weekly"),
    (Concept::Month, "month monthly"),
    (Concept::Quarter, "quarter quarterly"),
    (Concept::Year, "year yearly annual annually"),
    (Concept::Trend, "trend timeline evolution develop development"),
    (Concept::Change, "change growth grow growing grown grew difference"),
    (Concept::Running, "running cumulative rolling"),
    (
        Concept::Missing,
        "missing null empty blank incomplete without no nothing never unmatched orphan orphaned dangling",
    ),
    (Concept::Duplicate, "duplicate duplicated repeated twice"),
    (Concept::Share, "share percent percentage proportion contribution"),
    (Concept::Distribution, "distribution histogram frequency bucket spread distinct unique different"),
    (Concept::Median, "median percentile quantile quartile"),
    (Concept::Outlier, "outlier anomaly unusual extreme"),
    (Concept::Recent, "latest last recent newest"),
    (Concept::Earliest, "oldest earliest"),
    (Concept::Rows, "row record entry"),
];

/// Words that carry no meaning of their own in a question.
const STOP_WORDS: &str = "a about across actually all among an and any are as at be been by can could currently database \
    did display do does each ever every exactly exist exists find for from get give had has have hello hi how i in is it its just know let list \
    many may me much must my need now of on or our per please really s see shall should show some tell that the their them \
    there these they this those to us want was we were what when where which who whom whose why will with within would \
    you your";

/// Words after which a value to filter by tends to stand.
const FILTER_LEADS: &str = "after at before called during equals for from in is like named of on since than until \
    where whose with within";

/// Words that compare or exclude: leaving them out would turn the answer into another one.
const COMPARING: &str = "above after before below between equals except excluding exceeding fewer greater less like \
    longer more not older over shorter since than under until younger";

/// Words between things and what they do not have.
const EXCLUDING: &str = "without no never";

/// Words for references that point to nothing.
const DANGLING: &str = "orphan orphaned dangling unmatched";

/// What people say for money that comes in, and what such columns are called.
const EARNED_ASKED: &str = "amount earned earning income money revenue sale sell sold turnover value worth";
const EARNED_COLUMNS: &str = "amount charge fee income revenue sale subtotal total turnover value";
/// What people say for money that goes out, and what such columns are called.
const SPENT_ASKED: &str = "amount bought cost money paid pay purchase spend spending spent value worth";
const SPENT_COLUMNS: &str = "amount charge cost fee paid payment spend subtotal total value";
/// What people say of the price of one thing, and what such columns are called.
const PRICE_ASKED: &str = "cheap cheapest cost expensive price priced";
const PRICE_COLUMNS: &str = "charge cost fee price rate";

/// Words that ask for something of each group.
const GROUPING: &str = "across by each every fewest least most per top which";

/// Words before what there is to be one row of.
const DISTRIBUTING: &str = "each every per";

/// Superlatives of a measure.
const SIZES: &str =
    "highest largest biggest greatest max maximum longest lowest smallest min minimum shortest cheapest";

/// The numbers from zero, in words.
const NUMBER_WORDS: &str = "zero one two three four five six seven eight nine ten eleven twelve";

fn is_among(word: &str, list: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

pub(crate) fn is_stop_word(word: &str) -> bool {
    is_among(word, STOP_WORDS)
}

pub(crate) fn excludes(word: &str) -> bool {
    is_among(word, EXCLUDING)
}

pub(crate) fn asks_for_groups(word: &str) -> bool {
    is_among(word, GROUPING)
}

pub(crate) fn distributes(word: &str) -> bool {
    is_among(word, DISTRIBUTING)
}

pub(crate) fn is_size(word: &str) -> bool {
    is_among(word, SIZES)
}

pub(crate) fn is_dangling(word: &str) -> bool {
    is_among(word, DANGLING)
}

pub(crate) fn leads_to_a_filter(word: &str) -> bool {
    is_among(word, FILTER_LEADS)
}

pub(crate) fn is_comparing(word: &str) -> bool {
    is_among(word, COMPARING)
}

/// The number that a lower-case word is, in digits or letters.
pub(crate) fn number(word: &str) -> Option<f64> {
    let tens = |word| match word {
        "dozen" => Some(12.0),
        "twenty" => Some(20.0),
        "fifty" => Some(50.0),
        "hundred" => Some(100.0),
        _ => None,
    };
    let small = || {
        NUMBER_WORDS
            .split_whitespace()
            .zip(0_u8..)
            .find(|(known, _)| *known == word)
            .map(|(_, value)| f64::from(value))
    };
    let digits = || {
        word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| word.parse().ok()).flatten()
    };
    digits().or_else(small).or_else(|| tens(word)).filter(|value: &f64| value.is_finite())
}

/// The concept of a lower-case word.
pub(crate) fn concept(word: &str) -> Option<Concept> {
    static BY_WORD: LazyLock<HashMap<String, Concept>> = LazyLock::new(|| {
        let words = CONCEPTS
            .iter()
            .flat_map(|(concept, words)| words.split_whitespace().map(move |word| (word, *concept)));
        words.flat_map(|(word, concept)| [(stem(word), concept), (word.to_owned(), concept)]).collect()
    });
    BY_WORD.get(word).or_else(|| BY_WORD.get(&stem(word))).copied()
}

/// Cuts a text or a name into words as written: at everything that is neither letter nor digit, and where camel case
/// begins a word.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut previous: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let decimal_point = char == '.'
            && previous.is_some_and(|c| c.is_ascii_digit())
            && next.is_some_and(|c| c.is_ascii_digit());
        let is_word = char.is_alphanumeric() || decimal_point;
        let humps = previous.is_some_and(|before| {
            char.is_uppercase()
                && (before.is_lowercase() || (before.is_uppercase() && next.is_some_and(char::is_lowercase)))
        });
        if let Some(begin) = start.filter(|_| !is_word || humps) {
            words.extend(text.get(begin..at));
            start = None;
        }
        if is_word && start.is_none() {
            start = Some(at);
        }
        previous = Some(char);
    }
    words.extend(start.and_then(|begin| text.get(begin..)));
    words
}

/// The part of a lower-case word that its forms share. Crude, and the same for question and schema.
pub(crate) fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    if let Some(rest) = stem.strip_suffix("ies").filter(|rest| rest.len() > 1) {
        stem = format!("{rest}y");
    } else if !["ss", "us", "is"].iter().any(|ending| stem.ends_with(ending))
        && let Some(rest) = stem.strip_suffix('s').filter(|rest| rest.len() > 1)
    {
        stem = rest.to_owned();
    }
    if let Some(rest) = stem.strip_suffix("ie").filter(|rest| rest.len() > 1) {
        stem = format!("{rest}y");
    }
    for (suffix, least) in [("ing", 3), ("ed", 3), ("ly", 3), ("e", 2)] {
        if let Some(rest) = stem.strip_suffix(suffix).filter(|rest| rest.chars().count() >= least) {
            stem = rest.to_owned();
            break;
        }
    }
    let mut ending = stem.chars().rev();
    if let (Some(last), Some(before)) = (ending.next(), ending.next())
        && last == before
        && last.is_alphabetic()
        && last != 's'
        && stem.chars().count() > 3
    {
        stem.pop();
    }
    stem
}

/// What a word has to do with money.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MoneySense {
    earned: bool,
    spent: bool,
    price: bool,
}

impl MoneySense {
    /// Of a lower-case word in a question.
    pub(crate) fn asked(word: &str) -> Self {
        Self {
            earned: has_stem(word, EARNED_ASKED),
            spent: has_stem(word, SPENT_ASKED),
            price: has_stem(word, PRICE_ASKED),
        }
    }

    /// Of a lower-case word in the name of a column; one that is `for_one` piece is no sum of money.
    pub(crate) fn of_column(word: &str, for_one: bool) -> Self {
        Self {
            earned: !for_one && has_stem(word, EARNED_COLUMNS),
            spent: !for_one && has_stem(word, SPENT_COLUMNS),
            price: has_stem(word, PRICE_COLUMNS),
        }
    }

    /// How well a word asked with this sense stands for a word of a column, by sense alone: 0 to 1.
    pub(crate) fn fits(self, column: Self) -> f64 {
        let agree = self.earned && column.earned || self.spent && column.spent || self.price && column.price;
        if agree { 0.8 } else { 0.0 }
    }
}

fn has_stem(word: &str, list: &str) -> bool {
    let stemmed = stem(word);
    list.split_whitespace().any(|known| known == word || stem(known) == stemmed)
}

/// How well two lower-case words agree: exactly, by stem, by prefix, or not at all.
pub(crate) fn likeness(asked: &str, name: &str) -> f64 {
    const SHORTEST_PREFIX: usize = 4;
    if asked == name {
        return 1.0;
    }
    let (asked, name) = (stem(asked), stem(name));
    if asked == name {
        return 0.95;
    }
    let (shorter, longer) = if asked.len() < name.len() { (&asked, &name) } else { (&name, &asked) };
    if shorter.chars().count() >= SHORTEST_PREFIX && longer.starts_with(shorter.as_str()) { 0.6 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_their_writers_joined_them() {
        assert_eq!(split("BillingCountry"), ["Billing", "Country"]);
        assert_eq!(split("freight_charge"), ["freight", "charge"]);
        assert_eq!(split("HTTPStatus code"), ["HTTP", "Status", "code"]);
        assert_eq!(split("top 5, over 2.5 (Größe)"), ["top", "5", "over", "2.5", "Größe"]);
        assert!(split(" ..__").is_empty());
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        let pairs = [
            ("customers", "customer"),
            ("countries", "country"),
            ("movies", "movie"),
            ("addresses", "address"),
            ("boxes", "box"),
            ("billing", "billed"),
            ("shipped", "shipping"),
            ("invoiced", "invoice"),
            ("statuses", "status"),
            ("monthly", "month"),
            ("employees", "employee"),
            ("charges", "charge"),
        ];
        for (one, other) in pairs {
            assert_eq!(stem(one), stem(other));
        }
        assert_ne!(stem("order"), stem("ordinance"));
        assert_ne!(stem("news"), stem("new_"));
    }

    #[test]
    fn numbers_come_in_digits_and_letters() {
        assert_eq!(number("five"), Some(5.0));
        assert_eq!(number("2.5"), Some(2.5));
        assert_eq!(number("1.2.3"), None);
        assert_eq!(number("."), None);
        assert_eq!(number("fives"), None);
    }

    #[test]
    fn likeness_ranks_exact_above_stem_above_prefix() {
        assert!(likeness("order", "order") > likeness("orders", "order"));
        assert!(likeness("orders", "order") > likeness("cust", "customer"));
        assert!(likeness("cust", "customer") > 0.0);
        assert!(likeness("art", "artist") == 0.0);
    }
}
