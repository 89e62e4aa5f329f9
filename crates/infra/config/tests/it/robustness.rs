//! No file makes the loader panic, and what it refuses it refuses with a place.

use proptest::prelude::*;

use loom_config::{Source, keys};

use crate::world::World;

/// A scalar, a list or a map, mostly of the kind people write by mistake.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "[ -~]{0,12}",
        "\\PC{0,8}",
        Just("${".to_owned()),
        Just("${A:-${B}}".to_owned()),
        Just("$${x}".to_owned()),
        Just("{a: {b: [1]}}".to_owned()),
        Just("[[], {}]".to_owned()),
        Just("*x".to_owned()),
        Just("&x 1".to_owned()),
        Just("!!binary aGk=".to_owned()),
        Just(".nan".to_owned()),
        Just("~".to_owned()),
    ]
}

/// A file of known keys, some of them cut short, with any values.
fn file() -> impl Strategy<Value = String> {
    let names: Vec<String> = keys().iter().map(|key| key.name.replacen('*', "x", 1)).collect();
    let line = (prop::sample::select(names), 0..4_usize, value());
    prop::collection::vec(line, 0..6).prop_map(|lines| {
        let nest = |(name, cut, value): &(String, usize, String)| {
            let parts: Vec<&str> = name.split('.').collect();
            let kept = parts.len().saturating_sub(*cut / 2).max(1);
            let mut out = String::new();
            for (depth, part) in parts[..kept].iter().enumerate() {
                out += &"  ".repeat(depth);
                out += part;
                out += ":\n";
            }
            format!("{} {value}\n", out.trim_end())
        };
        lines.iter().map(nest).collect()
    })
}

fn check(text: &str) {
    if let Err(errors) = World::new().file(text).env("A", "1").try_load() {
        assert!(errors.iter().count() > 0);
        for error in &errors {
            assert!(!error.to_string().contains('\n'), "{error}");
            assert!(matches!(error.place(), Source::File(_) | Source::Profile { .. }), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn any_yaml_like_text(text in "[a-z:\\-\\[\\]{}&*!|>'\"#%@,? \n\t$~.0-9]{0,120}") {
        check(&text);
    }

    #[test]
    fn any_values_for_known_keys(text in file()) {
        check(&text);
    }

    #[test]
    fn any_environment(name in "LOOM_[A-Z_]{0,20}", value in "\\PC{0,20}", known in prop::sample::select(
        keys().iter().flat_map(|key| key.variables.clone()).collect::<Vec<_>>()
    )) {
        let result = World::new().env(&name, &value).env(&known, &value).try_load();
        if let Err(errors) = result {
            for error in &errors {
                assert!(!error.to_string().contains("panicked"), "{error}");
            }
        }
    }
}

#[test]
fn a_key_cannot_break_the_line_it_is_named_in() {
    let errors = World::new().file("\"a\\n\\e[31mb\": 1\n").errors();
    assert_eq!(errors.lines().count(), 1, "{errors:?}");
    assert!(errors.contains(r"a\n\u{1b}[31mb"), "{errors}");
}

#[test]
fn deep_and_wide_files_are_refused() {
    for text in ["[".repeat(50_000), "a: ".repeat(5_000), "{a: ".repeat(10_000), "- ".repeat(50_000)] {
        assert!(World::new().file(&text).try_load().is_err());
    }
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, below) in
        ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        bomb += &[name, ": &", name, " [", &vec![format!("*{below}"); 9].join(", "), "]\n"].concat();
    }
    assert!(World::new().file(&bomb).try_load().is_err());
    assert!(World::new().file("#".repeat(2 * 1024 * 1024)).errors().contains("larger than"));
}
