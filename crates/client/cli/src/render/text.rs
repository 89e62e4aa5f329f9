//! Text from elsewhere, made harmless; text of ours, coloured.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

use crate::Style;

/// `text` without what a terminal obeys: control characters but newline and tab, and the marks that turn the direction
/// of writing (they can show a command as another one).
pub fn clean(text: &str) -> Cow<'_, str> {
    retain(text, |c| matches!(c, '\n' | '\t') || !is_obeyed(c))
}

/// [`clean`] on one line: a newline or tab becomes a blank.
pub fn clean_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return retain(text, |c| !is_obeyed(c));
    }
    let line: String = text
        .chars()
        .map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c })
        .filter(|c| !is_obeyed(*c))
        .collect();
    Cow::Owned(line)
}

fn retain(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&keep) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| keep(*c)).collect())
}

fn is_obeyed(c: char) -> bool {
    const DIRECTION_MARKS: [std::ops::RangeInclusive<char>; 3] =
        ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    c.is_control() || DIRECTION_MARKS.iter().any(|marks| marks.contains(&c))
}

/// `text` on one line of at most `width` columns, cut with an ellipsis.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let line = clean_line(text);
    let line = line.trim();
    let (mut used, mut room_for_mark) = (0, 0);
    for (index, c) in line.char_indices() {
        let next = used + c.width().unwrap_or(0);
        if next > width {
            return format!("{}…", line[..room_for_mark].trim_end());
        }
        used = next;
        if next < width {
            room_for_mark = index + c.len_utf8();
        }
    }
    line.to_owned()
}

/// What a piece of our own text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Of less weight.
    Faint,
    /// A name or heading.
    Strong,
    /// A success.
    Good,
    /// A failure.
    Bad,
}

impl Style {
    /// `text`, already clean, in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        // ECMA-48, select graphic rendition.
        let code = match tone {
            Tone::Faint => 2,
            Tone::Strong => 1,
            Tone::Good => 32,
            Tone::Bad => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_gone() {
        let evil = "a\u{1b}[31mb\u{7}c\u{8}d\r\n\te\u{9b}2J\u{202e}f\u{0}";
        assert_eq!(clean(evil), "a[31mbcd\n\te2Jf");
        assert_eq!(clean_line(evil), "a[31mbcd  e2Jf");
        assert!(matches!(clean("plain\ntext é 日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_line_is_cut_by_columns() {
        assert_eq!(shorten(" one\ntwo ", 20), "one two");
        assert_eq!(shorten("12345678", 8), "12345678");
        assert_eq!(shorten("123456789", 8), "1234567…");
        assert_eq!(shorten("日本語日本語", 7), "日本語…");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(Style::Plain.paint(Tone::Good, "x"), "x");
        assert_eq!(Style::Terminal.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
