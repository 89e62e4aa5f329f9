//! Takes secrets and personal data out of a text that is about to be logged, traced or sent as an error.
//!
//! It is pure and total. It rather takes too much than too little, but never a count of tokens. What a user says in
//! a conversation does not pass here: that is the user's own data.

mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

use rules::{RULES, Rule, SECRET_NAME};

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";

/// One replacement may lay bare another match; more rounds than this change nothing in practice, and end for sure.
const MAX_ROUNDS: usize = 8;

/// `text` without secrets and personal data; borrowed when there were none.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        match round(&current) {
            Some(next) => current = Cow::Owned(next),
            None => break,
        }
    }
    current
}

/// One application of every rule that matches, or nothing when that changes nothing.
fn round(text: &str) -> Option<String> {
    let matching = RULES.set.matches(text);
    if !matching.matched_any() {
        return None;
    }
    let mut current = text.to_owned();
    for rule in matching.into_iter().filter_map(|index| RULES.list.get(index)) {
        current = Rule::apply(rule, &current).into_owned();
    }
    (current != text).then_some(current)
}

/// Redacts every text in `value`, and everything under a key that names a secret.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(entries) => {
            for (key, value) in entries {
                if is_secret_name(key) && !value.is_null() {
                    *value = Value::String(REDACTED.to_owned());
                } else {
                    redact_json(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a field of this name holds a secret: `api_key`, `db.password`, `access_token`, but not `max_tokens`.
pub fn is_secret_name(name: &str) -> bool {
    SECRET_NAME.is_match(name)
}
