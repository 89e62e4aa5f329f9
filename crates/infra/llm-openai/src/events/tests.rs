//! Chunks as OpenAI and the many servers that imitate it send them.

use super::*;
use loom_base::{CallId, Secret, TurnId};
use loom_llm::{Assembler, Completion, ContentBlock};
use serde_json::json;

fn failures() -> Failures {
    Failures::new("local".into(), Some(Secret::new("the-key")))
}

/// The chunks of a stream of events.
fn read(events: &[Value]) -> Result<Vec<Chunk>, LlmError> {
    let turn =
        TurnId::from_uuid(serde_json::from_value(json!("00000000-0000-7000-8000-000000000001")).unwrap());
    let mut answer = Answer::new(EffectId { turn, number: 3 });
    let mut chunks = Vec::new();
    for event in events {
        chunks.extend(answer.read(&event.to_string(), &failures())?);
    }
    Ok(chunks)
}

/// The answer of a stream of deltas that ends with `reason`.
fn answer(deltas: &[Value], reason: &str) -> Completion {
    let mut events: Vec<_> = deltas.iter().map(|delta| json!({"choices": [{"delta": delta}]})).collect();
    events.push(json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    let mut assembler = Assembler::new("m".into());
    read(&events).unwrap().iter().for_each(|chunk| assembler.push(chunk).unwrap());
    assembler.finish().unwrap()
}

fn calls(deltas: &[Value]) -> Vec<(String, String, Value)> {
    let completion =
        answer(&deltas.iter().map(|call| json!({"tool_calls": [call]})).collect::<Vec<_>>(), "stop");
    assert_eq!(completion.finish, FinishReason::ToolUse);
    let call = |block: &ContentBlock| match block {
        ContentBlock::ToolUse { id, name, input } => (id.to_string(), name.to_string(), input.clone()),
        other => panic!("{other:?}"),
    };
    completion.content.iter().map(call).collect()
}

fn call(id: &str, name: &str, n: u32) -> (String, String, Value) {
    (id.into(), name.into(), json!({"n": n}))
}

#[test]
fn calls_in_pieces_are_told_apart_by_index_even_when_interleaved() {
    let deltas = [
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}),
        json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{\"n\""}}),
        json!({"index": 0, "function": {"arguments": "{\"n\":1}"}}),
        json!({"index": 1, "function": {"arguments": ":2}"}}),
    ];
    assert_eq!(calls(&deltas), [call("a", "f", 1), call("b", "g", 2)]);
}

#[test]
fn whole_calls_need_no_index() {
    let deltas = [
        json!({"id": "a", "function": {"name": "f", "arguments": "{\"n\":1}"}}),
        json!({"id": "b", "function": {"name": "f", "arguments": "{\"n\":2}"}}),
    ];
    assert_eq!(calls(&deltas), [call("a", "f", 1), call("b", "f", 2)]);
}

#[test]
fn whole_calls_may_all_have_the_index_0() {
    let deltas = [
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"n\":1}"}}),
        json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "{\"n\":2}"}}),
    ];
    assert_eq!(calls(&deltas), [call("a", "f", 1), call("b", "f", 2)]);
}

#[test]
fn calls_without_ids_get_names_of_their_own() {
    for index in [json!(null), json!(0)] {
        let deltas = [
            json!({"index": index, "id": "", "function": {"name": "f", "arguments": "{\"n\":1}"}}),
            json!({"index": index, "id": "", "function": {"name": "f", "arguments": {"n": 2}}}),
        ];
        assert_eq!(calls(&deltas), [call("call_3_0", "f", 1), call("call_3_1", "f", 2)], "{index}");
    }
}

#[test]
fn ids_and_names_may_be_repeated_or_late() {
    let repeated = [
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"n\""}}),
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ":1}"}}),
    ];
    assert_eq!(calls(&repeated), [call("a", "f", 1)]);
    let without_index = [
        json!({"id": "a", "function": {"name": "f", "arguments": ""}}),
        json!({"function": {"arguments": "{\"n\":"}}),
        json!({"id": "", "function": {"name": null, "arguments": "1}"}}),
    ];
    assert_eq!(calls(&without_index), [call("a", "f", 1)]);
    let other_id_each_time = [
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"n\""}}),
        json!({"index": 0, "id": "b", "function": {"arguments": ":1}"}}),
    ];
    assert_eq!(calls(&other_id_each_time), [call("a", "f", 1)]);
    let late = [
        json!({"index": 0, "id": "a", "function": {"arguments": "{\"n\""}}),
        json!({"index": 0, "function": {"name": "f", "arguments": ":1}"}}),
    ];
    assert_eq!(calls(&late), [call("a", "f", 1)]);
}

#[test]
fn reasons_to_stop_have_meanings_and_a_new_one_is_an_error() {
    let text = [json!({"content": "hi"})];
    let rows = [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::MaxTokens),
        ("tool_calls", FinishReason::ToolUse),
        ("function_call", FinishReason::ToolUse),
        ("content_filter", FinishReason::Refusal),
    ];
    for (reason, finish) in rows {
        assert_eq!(answer(&text, reason).finish, finish, "{reason}");
    }
    assert_eq!(answer(&[json!({"refusal": "I cannot."})], "stop").finish, FinishReason::Refusal);
    let error = read(&[json!({"choices": [{"finish_reason": "bored"}]})]).unwrap_err();
    assert_eq!(error.class, ErrorClass::Malformed);
}

#[test]
fn text_reasoning_and_calls_are_blocks_in_the_order_they_began() {
    let completion = answer(
        &[
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "h"}),
            json!({"reasoning": "m", "content": null}),
            json!({"content": "Look"}),
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"content": "ing."}),
        ],
        "tool_calls",
    );
    let expected = [
        ContentBlock::Thinking { text: "hm".into(), signature: None },
        ContentBlock::text("Looking."),
        ContentBlock::ToolUse { id: CallId::new("a"), name: "f".into(), input: json!({}) },
    ];
    assert_eq!(completion.content, expected);
}

#[test]
fn usage_may_come_with_each_chunk_and_cached_tokens_are_taken_out() {
    let usage = |output: u64| json!({"prompt_tokens": 100, "completion_tokens": output, "prompt_tokens_details": {"cached_tokens": 64}});
    let chunks = read(&[
        json!({"choices": [{"delta": {"content": "a"}}], "usage": usage(1)}),
        json!({"choices": [], "usage": usage(2)}),
    ]);
    let expected = |output| Chunk::Usage(Usage { input: 36, output, cache_read: 64, cache_write: 0 });
    let chunks = chunks.unwrap();
    assert_eq!((&chunks[1], &chunks[2]), (&expected(1), &expected(2)));
    let odd = read(&[json!({"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}}})]);
    assert_eq!(odd.unwrap(), [Chunk::Usage(Usage { cache_read: 1, ..Usage::default() })]);
}

#[test]
fn an_error_object_or_text_in_the_stream_is_an_error_without_the_key() {
    for error in [json!({"message": "the-key is tired", "type": "server_error"}), json!("the-key is tired")] {
        let error = read(&[json!({"error": error})]).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient);
        assert!(error.message.starts_with("[redacted] is tired"), "{error}");
        assert_eq!(error.provider, "local");
    }
}

#[test]
fn what_is_no_chunk_is_malformed_and_not_repeated() {
    for data in ["{", "[]", "7", r#"{"private":1}"#, r#"{"choices":"private"}"#] {
        let turn =
            TurnId::from_uuid(serde_json::from_value(json!("00000000-0000-7000-8000-000000000001")).unwrap());
        let error = Answer::new(EffectId { turn, number: 1 }).read(data, &failures()).unwrap_err();
        assert_eq!(error.class, ErrorClass::Malformed, "{data}");
        assert!(!error.message.contains("private"));
    }
}
