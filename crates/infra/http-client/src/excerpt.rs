//! What a service said, made fit for an error message.

use loom_base::Secret;

/// Enough for a sentence; services that answer with a page are cut off.
const MAX_CHARS: usize = 300;

/// One line of at most 300 characters of `text`, without control characters and without `secret`.
///
/// Services repeat a rejected key in their answers; some do so in full.
pub fn excerpt(text: &str, secret: Option<&Secret>) -> String {
    let text = match secret.map(Secret::expose) {
        Some(secret) if !secret.is_empty() => text.replace(secret, "[redacted]"),
        _ => text.to_owned(),
    };
    let words: Vec<_> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_without_the_secret() {
        let said = format!("Incorrect key\r\n\tsk-123 \u{7}given. {}", "é".repeat(400));
        let line = excerpt(&said, Some(&Secret::new("sk-123")));
        assert!(line.starts_with("Incorrect key [redacted] given. éé"));
        assert_eq!(line.chars().count(), MAX_CHARS + 1);
        assert_eq!(excerpt("as it is", Some(&Secret::new(""))), "as it is");
    }
}
