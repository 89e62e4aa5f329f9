//! What must go, what must stay, and what holds for any text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn secrets_go() {
    let cases = [
        ("key sk-ant-REDACTED failed", "key [redacted] failed"),
        ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
        (r#"{"authorization":"Basic dXNlcjpwYXNz"}"#, r#"{"authorization":"Basic [redacted]"}"#),
        ("sent bearer abcdef123456 on", "sent bearer [redacted] on"),
        ("password=hunter2 user=me", "password=[redacted] user=me"),
        ("password='hunter 2' user=me", "password='[redacted]' user=me"),
        (r#"{"password":"a\"b","n":1}"#, r#"{"password":"[redacted]","n":1}"#),
        ("API_KEY: abc, next", "API_KEY: [redacted], next"),
        ("client_secret=a;b", "client_secret=[redacted];b"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("access_token=abc&x=1", "access_token=[redacted]&x=1"),
        ("?token=abc", "?token=[redacted]"),
        (r#""token": "abc""#, r#""token": "[redacted]""#),
        ("postgres://me:p@ss@host:5432/db", "postgres://me:[redacted]@host:5432/db"),
        ("redis://:secret-word@host", "redis://:[redacted]@host"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----.", "[redacted]."),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
        ("ghp_0123456789abcdefghij0123456789abcdef", "[redacted]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected);
    }
}

#[test]
fn personal_data_go() {
    let cases = [
        ("mail jo.doe+x@mail.example.org now", "mail [email] now"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("ssn 078-05-1120", "ssn [ssn]"),
        ("call +49 30 1234 5678", "call [phone]"),
        ("call (555) 010-9999 or 555-010-9999", "call [phone] or [phone]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected);
    }
}

#[test]
fn counts_ids_times_and_plain_words_stay() {
    for text in [
        "input_tokens=1200 output_tokens=64 total_tokens: 1264 max_tokens=4096",
        r#"{"gen_ai.usage.input_tokens":1234567890123,"max_tokens":4096}"#,
        "unexpected token: expected a comma",
        "the bearer of news",
        "sess_0192f3a4b5c67d8e9f00112233445566 turn_0192f3a4b5c67d8e9f00112233445566",
        "at=1732060000000000 2026-11-20T23:52:11.123456Z",
        "4111 1111 1111 1112 is no card",
        "127.0.0.1:60051 and http://localhost:5006/v1/weave:stream",
        "SELECT a - b FROM t WHERE x = 100 AND y = 555",
        "a task-management-system, risk-averse",
    ] {
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{text:?} became {:?}", redact(text));
    }
}

#[test]
fn names_of_secrets_are_known_and_counts_are_not_among_them() {
    for name in [
        "password",
        "db.password",
        "API-Key",
        "apiKey",
        "access_token",
        "token",
        "Authorization",
        "secret_id",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in
        ["max_tokens", "gen_ai.usage.input_tokens", "token_count", "tokens", "author", "key", "primary_key"]
    {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn json_loses_secrets_at_any_depth_and_keeps_its_shape() {
    let mut value = json!({"a": [{"password": {"x": 1}}, "mail a@b.cd"], "max_tokens": 5, "token": null});
    redact_json(&mut value);
    assert_eq!(
        value,
        json!({"a": [{"password": "[redacted]"}, "mail [email]"], "max_tokens": 5, "token": null})
    );
}

/// Texts made of pieces that rules look for, so that matches touch and overlap.
fn suspicious() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("password=".to_owned()),
        Just("\"api_key\": ".to_owned()),
        Just("token=".to_owned()),
        Just("_token:".to_owned()),
        Just("authorization: ".to_owned()),
        Just("bearer ".to_owned()),
        Just("sk-".to_owned()),
        Just("postgres://me:".to_owned()),
        Just("@host.example".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("+49 30 ".to_owned()),
        Just(REDACTED.to_owned()),
        "[a-zA-Z0-9 \"'@:=,;/+.()-]{0,12}",
        ".{0,4}",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn redacting_twice_changes_nothing_more(text in suspicious()) {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = redact(&text);
    }

    #[test]
    fn a_password_never_survives(before in "[a-z ,;]{0,20}", password in "[A-Za-z0-9!#$%^*]{12,20}", after in "[a-z ]{0,9}") {
        for text in [
            format!("{before} password={password} {after}"),
            format!("{before}{{\"password\": \"{password}\"}}{after}"),
            format!("{before} postgres://me:{password}@host/db {after}"),
            format!("{before} authorization: bearer {password} {after}"),
        ] {
            prop_assert!(!redact(&text).contains(&password), "{}", redact(&text));
        }
    }
}
