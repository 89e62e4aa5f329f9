//! The words of a message as PostgreSQL's full-text index takes them: folded here, so that neither the server's language
//! nor its idea of a word matters.

use std::collections::BTreeMap;

use loom_llm::ContentBlock;
use loom_store::words::{said, words};

/// What stands in the index for a message whose words it cannot hold. No word is written like this, so that nobody finds
/// it by chance.
pub(crate) const TOO_LARGE: &str = "'*'";

/// The longest word an index takes, in bytes; of a longer one it has the beginning.
const MOST_WORD_BYTES: usize = 2046;
/// Places of one word that count.
const MOST_PLACES: usize = 255;
/// The highest place there is; later words are all there.
const LAST_PLACE: usize = 16_383;
/// The words of one message are bounded by 1 MiB as the server stores them; this leaves it room to align them.
const MOST_BYTES: usize = 1_000_000;
/// What each word takes beside its letters, and each of its places.
const WORD_BYTES: usize = 8;
const PLACE_BYTES: usize = 2;

/// The words of a message with their places, as text of a `tsvector`.
pub(crate) fn vector(content: &[ContentBlock]) -> String {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut bytes = 0;
    for (place, word) in (1..).zip(said(content).flat_map(words)) {
        let word = beginning(&word);
        if !places.contains_key(word) {
            bytes += word.len() + WORD_BYTES;
        }
        let found = places.entry(word.to_owned()).or_default();
        if found.len() < MOST_PLACES {
            found.push(place.min(LAST_PLACE));
            bytes += PLACE_BYTES;
        }
        if bytes > MOST_BYTES {
            return TOO_LARGE.to_owned();
        }
    }
    let entry = |(word, places): (String, Vec<usize>)| {
        let places: Vec<_> = places.iter().map(usize::to_string).collect();
        format!("{}:{}", quoted(&word), places.join(","))
    };
    places.into_iter().map(entry).collect::<Vec<_>>().join(" ")
}

/// The words as a `tsquery`: all of them, each quoted, so that none is an operator.
pub(crate) fn question(words: &[String]) -> String {
    words.iter().map(|word| quoted(beginning(word))).collect::<Vec<_>>().join(" & ")
}

/// A word has letters and digits only, and so nothing to escape.
fn quoted(word: &str) -> String {
    format!("'{word}'")
}

fn beginning(word: &str) -> &str {
    word.get(..word.floor_char_boundary(MOST_WORD_BYTES)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector_of(text: &str) -> String {
        vector(&[ContentBlock::text(text)])
    }

    #[test]
    fn nothing_in_a_question_is_syntax() {
        let asked: Vec<_> = words("'a* & -b) !NEAR(c <-> 2) | col:e\\").collect();
        assert_eq!(question(&asked), "'a' & 'b' & 'near' & 'c' & '2' & 'col' & 'e'");
    }

    #[test]
    fn words_have_their_places() {
        assert_eq!(vector_of("Top, five; TOP"), "'five':2 'top':1,3");
        assert_eq!(vector_of(" .,"), "");
    }

    #[test]
    fn what_an_index_cannot_hold_is_cut_or_stood_for() {
        let long = "ä".repeat(2_000);
        assert_eq!(vector_of(&long), format!("'{}':1", "ä".repeat(1_023)));
        assert_eq!(question(std::slice::from_ref(&long)), format!("'{}'", "ä".repeat(1_023)));
        let often = vector_of(&"again ".repeat(20_000));
        assert_eq!(often.split(',').count(), MOST_PLACES);
        let many = (0..200_000).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(vector_of(&many.join(" ")), TOO_LARGE);
    }
}
