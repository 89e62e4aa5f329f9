//! No text makes the parser panic, and every refusal says where.

use proptest::prelude::*;

use super::*;

/// Lines of agent files, whole and broken, at some depth.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "agent",
        "name",
        "labels",
        "llm",
        "backend",
        "backends",
        "tools",
        "builtin",
        "memory",
        "budgets",
        "rom",
        "config",
        "behavior",
        "patterns",
        "enabled",
        "max_turns",
        "temperature",
        "stop_sequences",
        "task_board",
        "x",
        "- a",
        "<<",
        "? [a]",
        "!!int",
        "&a",
        "*a",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "",
            "a",
            "1",
            "-1",
            "1e400",
            ".nan",
            "0x10",
            "true",
            "~",
            "[a, a]",
            "[]",
            "{}",
            "{name: a}",
            "loom/v1",
            "Agent",
            "|\n      text",
            "\"\\0\"",
            "${UNSET}",
            "${MODEL}",
            "&a [1]",
            "*a",
            "[[[",
            "{",
            "!!str 4.10",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ];
    (0_usize..4, key, value).prop_map(|(depth, key, value)| format!("{}{key}: {value}\n", "  ".repeat(depth)))
}

fn check(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(file) => prop_assert!((1..=128).contains(&file.definition.name.chars().count())),
        Err(error) => {
            prop_assert!(error.line >= 1 && error.column >= 1, "{error}");
            prop_assert!(!error.message.is_empty() && error.code != ErrorCode::Internal, "{error}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text(text in "(?s).{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_lines(lines in prop::collection::vec(line(), 0..12)) {
        check(&lines.concat())?;
    }

    #[test]
    fn a_whole_file_with_a_piece_replaced(from in 0_usize..700, length in 0_usize..40, piece in "\\PC{0,8}") {
        let characters: Vec<char> = FULL.chars().collect();
        let from = from.min(characters.len());
        let until = (from + length).min(characters.len());
        let text: String = characters[..from].iter().copied().chain(piece.chars()).chain(characters[until..].iter().copied()).collect();
        check(&text)?;
    }
}

#[test]
fn deep_wide_and_circular_files_are_refused() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(10_000),
        format!("spec: {}{}", "[".repeat(40), "]".repeat(40)),
        format!("spec: [{}]", "1,".repeat(200_000)),
        "a: &a [*a]\n".to_owned(),
        "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
         d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n"
            .to_owned(),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.line >= 1 && error.message.len() < 500, "{error}");
    }
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    let file = parse(&format!("\u{feff}{FULL}")).unwrap();
    assert_eq!(file, parse(FULL).unwrap());
}
