//! The rules: what secrets and personal data look like.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use regex::{Captures, Regex, RegexSet};

use super::REDACTED;

/// Names of secrets, without `token`, which is also a unit of length.
const SECRETS: &str =
    "password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|credential";

/// The name of a field that holds a secret.
#[expect(clippy::expect_used, reason = "the pattern is a constant that a test compiles")]
pub(super) static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?i)(?:{SECRETS}|^authorization$|^cookie$|(?:^|[._-])token$|[a-z]Token$)"))
        .expect("a constant pattern")
});

/// All rules, and the set that finds out in one pass which of them match.
pub(super) static RULES: LazyLock<Rules> = LazyLock::new(Rules::compile);

/// The compiled rules.
pub(super) struct Rules {
    /// Matches where the rule of the same index does.
    pub(super) set: RegexSet,
    /// In the order in which they are applied.
    pub(super) list: Vec<Rule>,
}

/// One kind of secret or personal datum.
pub(super) struct Rule {
    source: String,
    /// Compiled at its first match: most processes never see one.
    pattern: OnceLock<Regex>,
    replace: Replace,
}

impl Rule {
    /// `text` with every match replaced.
    #[expect(clippy::expect_used, reason = "the patterns are constants that a test compiles")]
    pub(super) fn apply<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let pattern = self.pattern.get_or_init(|| Regex::new(&self.source).expect("a constant pattern"));
        pattern.replace_all(text, self.replace)
    }
}

impl Rules {
    #[expect(clippy::expect_used, reason = "the patterns are constants that a test compiles")]
    fn compile() -> Self {
        let sources = sources();
        let set = RegexSet::new(sources.iter().map(|(pattern, _)| pattern)).expect("constant patterns");
        let rule = |(source, replace)| Rule { source, pattern: OnceLock::new(), replace };
        Self { set, list: sources.into_iter().map(rule).collect() }
    }
}

/// What a value may look like: quoted, quoted and cut off, or bare up to a blank.
const VALUE: &str = r#""(?:[^"\\]|\\.)*"|'[^']*'|["']?[^ \t\r\n"';&]*[^ \t\r\n"',;&]"#;

/// What a match becomes.
type Replace = fn(&Captures<'_>) -> String;

fn rule(pattern: &str, replace: Replace) -> (String, Replace) {
    (pattern.to_owned(), replace)
}

/// The patterns, in ASCII classes throughout, with what replaces them.
fn sources() -> Vec<(String, Replace)> {
    vec![
        // A private key in PEM, cut off or not.
        rule(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", |_| REDACTED.into()),
        // The password in a URL. The last @ of the authority ends it, as browsers have it.
        rule(r"([A-Za-z][A-Za-z0-9+.-]*://[^ \t\r\n/@:]*:)[^ \t\r\n/]+@", |found| format!("{}{REDACTED}@", &found[1])),
        // The Authorization header, in whatever notation, and bearer tokens elsewhere.
        rule(
            r#"(?i)(\bauthorization["']?[ \t]*[:=][ \t]*["']?(?:[a-z]+ )?)[^ \t\r\n"',]+"#.replace(r"\b", r"(?-u:\b)").as_str(),
            |found| format!("{}{REDACTED}", &found[1]),
        ),
        rule(r"(?i)((?-u:\b)bearer[ \t]+)[A-Za-z0-9._~+/=-]{8,}", |found| format!("{}{REDACTED}", &found[1])),
        // Keys that show what they are: OpenAI and Anthropic, GitHub, Slack, AWS, Google, JSON Web Tokens.
        rule(
            r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{8,}|[sr]k_(?:live|test)_[A-Za-z0-9]{8,}|gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[abeprs]-[A-Za-z0-9-]{8,}|A[KS]IA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
            |_| REDACTED.into(),
        ),
        // A named secret: `password=…`, `"api_key": "…"`, `X-Access-Token: …`. A bare `token` needs a `=` or quotes,
        // since parsers speak of an "unexpected token: …".
        (
            format!(
                r#"(?i)((?:(?:{SECRETS})[a-z0-9_-]*|[_-]token)["']?[ \t]*[:=][ \t]*|(?-u:\b)token=|"token"[ \t]*:[ \t]*)({VALUE})"#
            ),
            |found| format!("{}{}", &found[1], requote(&found[2])),
        ),
        // Personal data.
        rule(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", |_| "[email]".into()),
        rule(r"(?-u:\b)[2-6](?:[ -]?[0-9]){12,18}(?-u:\b)", |found| {
            if is_card_number(&found[0]) { "[card]".into() } else { found[0].to_owned() }
        }),
        rule(r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)", |_| "[ssn]".into()),
        rule(
            r"\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{2,4}\)?){2,4}(?-u:\b)|\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}(?-u:\b)|(?-u:\b)[0-9]{3}(?:-[0-9]{3}-|\.[0-9]{3}\.)[0-9]{4}(?-u:\b)",
            |_| "[phone]".into(),
        ),
    ]
}

/// The replacement of a value, in the quotes it had.
fn requote(value: &str) -> String {
    for quote in ['"', '\''] {
        if value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote) {
            return format!("{quote}{REDACTED}{quote}");
        }
    }
    REDACTED.to_owned()
}

/// The check digit of payment cards (ISO/IEC 7812-1, Luhn): a random number passes once in ten.
fn is_card_number(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |digit: u32| if digit < 5 { digit * 2 } else { digit * 2 - 9 };
    let weigh = |(index, digit): (usize, &u32)| if index % 2 == 1 { doubled(*digit) } else { *digit };
    let sum: u32 = digits.iter().rev().enumerate().map(weigh).sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}
