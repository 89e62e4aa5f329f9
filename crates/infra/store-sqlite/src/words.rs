//! The words of a message as FTS5 takes them.

use loom_llm::ContentBlock;
use loom_store::words::{said, words};

/// The words of a message, as one text.
pub(crate) fn indexed(content: &[ContentBlock]) -> String {
    said(content).flat_map(words).collect::<Vec<_>>().join(" ")
}

/// The words as a question to FTS5: all of them, each a quoted string, so that none is an operator.
pub(crate) fn question(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_question_is_syntax() {
        let asked: Vec<_> = words("\"a* AND -b) NEAR(c, 2) ^d col:e").collect();
        assert_eq!(question(&asked), r#""a" "and" "b" "near" "c" "2" "d" "col" "e""#);
    }
}
