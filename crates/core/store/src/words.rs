//! The words of a text, for an index and for those who search. Both sides fold alike, so nothing depends on an index's
//! own idea of a word.

use loom_llm::ContentBlock;

/// How fast repeated words stop counting: the k1 of BM25, as SQLite's FTS5 sets it.
const SATURATION: f64 = 1.2;

/// The words of `text`: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// What can be found of a message: what was said and what tools gave back. Not what was sent beside it.
pub fn said(content: &[ContentBlock]) -> impl Iterator<Item = &str> {
    content.iter().filter_map(|block| match block {
        ContentBlock::Text { text } => Some(&**text),
        ContentBlock::ToolResult { content, .. } => Some(content),
        _ => None,
    })
}

/// How much of a text the asked words are, in 0..1 and saturating; `None` unless all of them are in it.
pub fn share_of<'a>(asked: &[String], texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let mut counts = vec![0_u32; asked.len()];
    for word in texts.flat_map(words) {
        for (count, asked) in counts.iter_mut().zip(asked) {
            *count += u32::from(*asked == word);
        }
    }
    let share = |count: &u32| f64::from(*count) / (f64::from(*count) + SATURATION);
    let all_there = counts.iter().all(|count| *count > 0);
    all_there
        .then(|| counts.iter().map(share).sum::<f64>() / f64::from(u32::try_from(counts.len()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_results_can_be_found_and_images_cannot() {
        let result = ContentBlock::ToolResult {
            id: loom_base::CallId::new("1"),
            content: "49.62 Ärger".into(),
            is_error: false,
        };
        let image = ContentBlock::Image { media_type: "image/png".into(), data: "AAAA".into() };
        let content = [ContentBlock::text("Top five?"), result, image];
        let found: Vec<_> = said(&content).flat_map(words).collect();
        assert_eq!(found, ["top", "five", "49", "62", "ärger"]);
    }

    #[test]
    fn a_share_needs_every_word_and_grows_with_repetition() {
        let asked = ["a".to_owned(), "b".to_owned()];
        let share = |text| share_of(&asked, [text].into_iter());
        assert_eq!(share("a c"), None);
        assert!(share("A, b") < share("a b a b a"));
        assert!(share("a b a b a") < Some(1.0));
    }
}
