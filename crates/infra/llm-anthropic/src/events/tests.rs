//! Events that a fake does not send: odd ones, new ones, broken ones.

use super::*;
use loom_base::Secret;

fn read(answer: &mut Answer, data: &str) -> Result<Vec<Chunk>, LlmError> {
    answer.read(data, &Failures::new(Secret::new("the-key")))
}

fn stop(reason: &str) -> Result<Vec<Chunk>, LlmError> {
    let data = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#);
    read(&mut Answer::default(), &data)
}

#[test]
fn every_stop_reason_has_a_meaning_and_a_new_one_is_an_error() {
    let rows = [
        ("end_turn", FinishReason::Stop),
        ("tool_use", FinishReason::ToolUse),
        ("max_tokens", FinishReason::MaxTokens),
        ("stop_sequence", FinishReason::StopSequence),
        ("refusal", FinishReason::Refusal),
        ("pause_turn", FinishReason::MaxTokens),
        ("model_context_window_exceeded", FinishReason::MaxTokens),
    ];
    for (reason, finish) in rows {
        assert_eq!(stop(reason).unwrap(), [Chunk::Finish(finish)], "{reason}");
    }
    assert_eq!(stop("bored").unwrap_err().class, ErrorClass::Malformed);
}

#[test]
fn blocks_events_and_deltas_of_the_future_are_skipped() {
    let mut answer = Answer::default();
    let events = [
        r#"{"type":"ping"}"#,
        r#"{"type":"news","index":1}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}}"#,
    ];
    for data in events {
        assert_eq!(read(&mut answer, data).unwrap(), [], "{data}");
    }
    assert!(!answer.is_complete());
    assert_eq!(read(&mut answer, r#"{"type":"message_stop"}"#).unwrap(), []);
    assert!(answer.is_complete());
}

#[test]
fn a_tool_input_that_comes_whole_with_its_start_is_kept() {
    let data = r#"{"type":"content_block_start","index":2,
        "content_block":{"type":"tool_use","id":"t","name":"query","input":{"sql":"SELECT 1"}}}"#;
    let chunks = read(&mut Answer::default(), data).unwrap();
    assert_eq!(chunks[1], Chunk::ToolInput { index: 2, delta: r#"{"sql":"SELECT 1"}"#.into() });
}

#[test]
fn an_error_event_has_a_class_and_never_shows_the_key() {
    let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded for the-key"}}"#;
    let error = read(&mut Answer::default(), data).unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
    assert_eq!(error.message, "Overloaded for [redacted] (overloaded_error)");
}

#[test]
fn what_is_no_event_is_malformed_and_not_repeated() {
    for data in ["{", "[]", "{}", r#"{"type":"content_block_delta"}"#, "<html>private</html>"] {
        let error = read(&mut Answer::default(), data).unwrap_err();
        assert_eq!(error.class, ErrorClass::Malformed, "{data}");
        assert!(!error.message.contains("private"));
    }
}
