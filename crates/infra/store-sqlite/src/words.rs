//! The words of a text, for the index and for those who search. Both sides fold alike, so nothing depends on the
//! index's own idea of a word.

use loom_llm::ContentBlock;

/// The words of `text`: runs of letters and digits, in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// What can be found of a message: what was said and what tools gave back. Not what was sent beside it.
pub(crate) fn said(content: &[ContentBlock]) -> impl Iterator<Item = &str> {
    content.iter().filter_map(|block| match block {
        ContentBlock::Text { text } => Some(&**text),
        ContentBlock::ToolResult { content, .. } => Some(content),
        _ => None,
    })
}

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

    #[test]
    fn tool_results_can_be_found_and_images_cannot() {
        let result = ContentBlock::ToolResult {
            id: loom_base::CallId::new("1"),
            content: "49.62 Ärger".into(),
            is_error: false,
        };
        let image = ContentBlock::Image { media_type: "image/png".into(), data: "AAAA".into() };
        assert_eq!(indexed(&[ContentBlock::text("Top five?"), result, image]), "top five 49 62 ärger");
    }
}
