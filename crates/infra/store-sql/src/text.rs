//! Texts that come from outside, such as names that a model makes up, in PostgreSQL. They may hold a NUL, which a column there
//! cannot.

use std::borrow::Cow;

/// Begins an escape. SUBSTITUTE stands for a character that cannot be shown, and is as rare.
const ESCAPE: char = '\u{1a}';
const NUL: char = '0';
const ITSELF: char = '1';

/// The text as it is stored: different texts are stored differently, and nearly all as they are.
pub fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            '\0' => stored.extend([ESCAPE, NUL]),
            ESCAPE => stored.extend([ESCAPE, ITSELF]),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// The text that was stored; `None` when nothing is stored like this.
pub fn given(stored: &str) -> Option<String> {
    let mut given = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        given.push(match character {
            ESCAPE => match characters.next()? {
                NUL => '\0',
                ITSELF => ESCAPE,
                _ => return None,
            },
            other => other,
        });
    }
    Some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_back_and_holds_no_nul() {
        for text in ["", "plain", "\0", "\u{1a}", "\u{1a}0", "a\0\u{1a}\0b", "🧶\0"] {
            let stored = stored(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(given(&stored).as_deref(), Some(text));
        }
        assert!(matches!(stored("wéird \\ \"name\""), Cow::Borrowed(_)));
        assert_eq!(given("\u{1a}"), None);
        assert_eq!(given("\u{1a}2"), None);
    }
}
