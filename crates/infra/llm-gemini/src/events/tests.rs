//! Events that a fake does not send: odd ones, new ones, broken ones.

use super::*;
use loom_base::{Secret, TurnId};

fn answer() -> Answer {
    Answer::new(EffectId { turn: TurnId::from_uuid(uuid::Uuid::nil()), number: 7 })
}

fn read(answer: &mut Answer, data: &str) -> Result<Vec<Chunk>, LlmError> {
    answer.read(data, &Failures::new(Secret::new("the-key")))
}

fn part(part: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#)
}

#[test]
fn every_finish_reason_has_a_meaning_and_a_new_one_is_an_error() {
    let finish = |reason: &str| {
        let data = format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#);
        read(&mut answer(), &data)
    };
    let rows = [
        ("STOP", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::MaxTokens),
        ("SAFETY", FinishReason::Refusal),
        ("OTHER", FinishReason::Refusal),
    ];
    for (reason, meaning) in rows {
        assert_eq!(finish(reason).unwrap(), [Chunk::Finish(meaning)], "{reason}");
    }
    for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "BORED"] {
        assert_eq!(finish(reason).unwrap_err().class, ErrorClass::Malformed, "{reason}");
    }
}

#[test]
fn calls_without_ids_are_named_by_their_place() {
    let mut answer = answer();
    let call = part(r#"{"functionCall":{"name":"query"}}"#);
    for expected in ["call_7_0", "call_7_1"] {
        let chunks = read(&mut answer, &call).unwrap();
        assert!(matches!(&chunks[..], [Chunk::ToolUse { id, .. }] if id.as_str() == expected), "{chunks:?}");
    }
    let end = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
    assert_eq!(read(&mut answer, end).unwrap(), [Chunk::Finish(FinishReason::ToolUse)]);
}

#[test]
fn text_goes_on_in_its_block_until_something_else_comes() {
    let mut answer = answer();
    let parts = [
        r#"{"text":"a"}"#,
        r#"{"text":"b"}"#,
        r#"{"text":"hm","thought":true}"#,
        r#"{"text":"c"}"#,
        r#"{"executableCode":{"code":"1"}}"#,
        r#"{"text":"d","thoughtSignature":"s"}"#,
    ];
    let chunks: Vec<_> = parts.iter().flat_map(|text| read(&mut answer, &part(text)).unwrap()).collect();
    let blocks: Vec<_> = chunks
        .iter()
        .map(|chunk| match chunk {
            Chunk::Text { index, .. } => ("text", *index),
            Chunk::Thinking { index, .. } => ("thinking", *index),
            _ => ("other", 0),
        })
        .collect();
    assert_eq!(
        blocks,
        [("text", 0), ("text", 0), ("thinking", 1), ("text", 2), ("thinking", 3), ("text", 4)]
    );
}

#[test]
fn an_error_event_has_a_class_and_never_shows_the_key() {
    let data = r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"overloaded, said the-key"}}"#;
    let error = read(&mut answer(), data).unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
    assert!(!error.to_string().contains("the-key"), "{error}");
}
