//! Cuts a sentence into the terms that search compares: stemmed words, and pairs of neighbouring words.

/// The terms of one sentence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Stemmed words that carry meaning, in order.
    pub(crate) words: Vec<String>,
    /// Neighbouring words joined by a space, at least one of which carries meaning; every number is `#`.
    pub(crate) pairs: Vec<String>,
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

/// The terms of `sentence`. Case, punctuation and `_` do not count.
pub(crate) fn terms(sentence: &str) -> Terms {
    let mut result = Terms::default();
    let mut previous: Option<(String, bool)> = None;
    for word in sentence.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
        let word: String =
            word.chars().filter(|c| !matches!(c, '\'' | '’')).flat_map(char::to_lowercase).collect();
        if word.is_empty() {
            continue;
        }
        let (term, meaningful) = if word.bytes().all(|byte| byte.is_ascii_digit()) {
            (NUMBER.to_owned(), false)
        } else if FUNCTION_WORDS.binary_search(&word.as_str()).is_ok() {
            (word, false)
        } else {
            (stem(word), true)
        };
        if let Some((before, before_meaningful)) = &previous
            && (meaningful || *before_meaningful)
        {
            result.pairs.push([before, " ", &term].concat());
        }
        if meaningful {
            result.words.push(term.clone());
        }
        previous = Some((term, meaningful));
    }
    result
}

/// Takes off the endings of plurals, `-ing` and `-ed`, and a final `e`, so that the forms of a word meet. It only has to
/// do the same to patterns and questions; its results need not be words.
pub(crate) fn stem(word: String) -> String {
    /// A stem shorter than this says too little.
    const MIN_STEM: usize = 3;
    if !word.is_ascii() {
        return word;
    }
    let mut stem = word;
    if let Some(base) = stem.strip_suffix("ies").filter(|base| base.len() >= MIN_STEM) {
        stem = format!("{base}y");
    } else if ["sses", "xes", "ches", "shes"].iter().any(|ending| stem.ends_with(ending)) {
        stem.truncate(stem.len() - 2);
    } else if stem.len() > MIN_STEM
        && stem.ends_with('s')
        && !["ss", "us", "is"].iter().any(|e| stem.ends_with(e))
    {
        stem.truncate(stem.len() - 1);
    }
    for ending in ["ing", "ed"] {
        let Some(base) = stem.strip_suffix(ending).filter(|base| base.len() >= MIN_STEM) else { continue };
        if base.bytes().any(|byte| b"aeiouy".contains(&byte)) {
            let kept = undouble(base).len();
            stem.truncate(kept);
            break;
        }
    }
    if stem.len() > MIN_STEM + 1 && stem.ends_with('e') {
        stem.truncate(stem.len() - 1);
    }
    stem
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
                forms.iter().map(|form| terms(form).words[0].replace("customers", "customer")).collect();
            assert!(stems.iter().all(|stem| stem == &stems[0]), "{stems:?}");
        }
        assert_ne!(stem("this".into()), stem("thing".into()));
    }

    #[test]
    fn pairs_need_a_meaningful_word() {
        let terms = terms("How many of the top 5?");
        assert_eq!(terms.words, ["many", "top"]);
        assert_eq!(terms.pairs, ["how many", "many of", "the top", "top #"]);
    }

    proptest! {
        #[test]
        fn any_text_has_terms(text in ".{0,80}") {
            let terms = terms(&text);
            prop_assert!(terms.words.iter().all(|word| !word.is_empty()));
        }

        #[test]
        fn a_stem_is_never_empty_and_settles(word in "[a-z]{1,12}") {
            prop_assert!(!stem(word).is_empty());
        }
    }
}
