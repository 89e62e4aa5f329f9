//! Cuts a sentence into the terms that search compares: stemmed words, and pairs of neighbouring words.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A stemmed word that carries meaning, or two neighbouring words at least one of which does; every number counts as the
/// same word.
///
/// A hash stands for the text: terms are only ever compared, and two of a hundred thousand meet once in a billion
/// libraries. Never stored, as another version of the standard library may hash otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(u64);

impl Term {
    /// Set in pairs and clear in words.
    const PAIR: u64 = 1;

    fn word(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish() & !Self::PAIR)
    }

    fn pair(first: Self, second: Self) -> Self {
        let mut hasher = DefaultHasher::new();
        (first.0, second.0).hash(&mut hasher);
        Self(hasher.finish() | Self::PAIR)
    }

    pub(crate) const fn is_pair(self) -> bool {
        self.0 & Self::PAIR != 0
    }
}

/// Words that shape a question without saying what it is about. Sorted.
const FUNCTION_WORDS: &[&str] = &[
    "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "did", "do", "does", "for", "from", "give", "had", "has", "have", "how", "i", "if", "in",
    "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "please", "should", "show", "so", "some",
    "tell", "that", "the", "their", "them", "there", "these", "they", "this", "those", "to", "us", "was",
    "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would",
    "you", "your",
];

/// What stands for every number.
const NUMBER: &str = "#";

/// Hands each term of `sentence` to `visit`, in order. Case, punctuation and `_` do not count.
pub(crate) fn terms(sentence: &str, mut visit: impl FnMut(Term)) {
    let mut previous: Option<(Term, bool)> = None;
    words(sentence, |text, meaningful| {
        let word = Term::word(text);
        if let Some((before, before_meaningful)) = previous
            && (meaningful || before_meaningful)
        {
            visit(Term::pair(before, word));
        }
        if meaningful {
            visit(word);
        }
        previous = Some((word, meaningful));
    });
}

/// Hands each word of `sentence` to `visit`, stemmed, and whether it carries meaning.
fn words(sentence: &str, mut visit: impl FnMut(&str, bool)) {
    let mut word = String::new();
    for written in sentence.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
        word.clear();
        let letters = written.chars().filter(|c| !matches!(c, '\'' | '’'));
        word.extend(letters.flat_map(char::to_lowercase));
        if word.is_empty() {
            continue;
        }
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            visit(NUMBER, false);
        } else if FUNCTION_WORDS.binary_search(&word.as_str()).is_ok() {
            visit(&word, false);
        } else {
            stem(&mut word);
            visit(&word, true);
        }
    }
}

/// Takes off the endings of plurals, `-ing` and `-ed`, and a final `e`, so that the forms of a word meet. It only has to
/// do the same to patterns and questions; its results need not be words.
fn stem(word: &mut String) {
    /// A stem shorter than this says too little.
    const MIN_STEM: usize = 3;
    if !word.is_ascii() {
        return;
    }
    if word.strip_suffix("ies").is_some_and(|base| base.len() >= MIN_STEM) {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if ["sses", "xes", "ches", "shes"].iter().any(|ending| word.ends_with(ending)) {
        word.truncate(word.len() - 2);
    } else if word.len() > MIN_STEM
        && word.ends_with('s')
        && !["ss", "us", "is"].iter().any(|e| word.ends_with(e))
    {
        word.truncate(word.len() - 1);
    }
    for ending in ["ing", "ed"] {
        let Some(base) = word.strip_suffix(ending).filter(|base| base.len() >= MIN_STEM) else { continue };
        if base.bytes().any(|byte| b"aeiouy".contains(&byte)) {
            let kept = undouble(base).len();
            word.truncate(kept);
            break;
        }
    }
    if word.len() > MIN_STEM + 1 && word.ends_with('e') {
        word.truncate(word.len() - 1);
    }
}

/// `runn` to `run`, but not `sell` or `miss` to something shorter.
fn undouble(base: &str) -> &str {
    let bytes = base.as_bytes();
    match bytes {
        [.., before, last] if before == last && !b"lsz".contains(last) => &base[..base.len() - 1],
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stems(sentence: &str) -> Vec<String> {
        let mut stems = Vec::new();
        words(sentence, |word, _| stems.push(word.to_owned()));
        stems
    }

    #[test]
    fn function_words_are_sorted() {
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn the_forms_of_a_word_meet() {
        for forms in [
            &["customer", "customers", "customer's"][..],
            &["query", "queries"],
            &["duplicate", "duplicates", "duplicated"],
            &["sell", "selling", "sells"],
            &["run", "running", "runs"],
            &["miss", "missing", "misses"],
            &["index", "indexes", "indexed"],
            &["average", "averages", "averaging"],
            &["status"],
        ] {
            let stems: Vec<_> =
                forms.iter().map(|form| stems(form).concat().replace("customers", "customer")).collect();
            assert!(stems.iter().all(|stem| stem == &stems[0]), "{stems:?}");
        }
        let mut this = "this".to_owned();
        stem(&mut this);
        assert_eq!(this, "this");
    }

    #[test]
    fn pairs_need_a_meaningful_word() {
        let mut found = Vec::new();
        terms("How many of the top 5?", |term| found.push(term));
        let word = Term::word;
        let pair = |first, second| Term::pair(word(first), word(second));
        let expected = [
            pair("how", "many"),
            word("many"),
            pair("many", "of"),
            pair("the", "top"),
            word("top"),
            pair("top", NUMBER),
        ];
        assert_eq!(found, expected);
        let kinds: Vec<_> = found.into_iter().map(Term::is_pair).collect();
        assert_eq!(kinds, [true, false, true, true, false, true]);
    }

    proptest! {
        #[test]
        fn any_text_has_terms(text in ".{0,80}") {
            prop_assert!(stems(&text).iter().all(|word| !word.is_empty()));
        }

        #[test]
        fn a_stem_is_never_empty_and_settles(word in "[a-z]{1,12}") {
            let mut stemmed = word;
            stem(&mut stemmed);
            prop_assert!(!stemmed.is_empty());
        }
    }
}
