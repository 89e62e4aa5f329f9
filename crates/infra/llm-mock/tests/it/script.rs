//! What a script can say, key by key.

use loom_llm::{
    Chunk, ContentBlock, ErrorClass, FinishReason, LlmProvider, Message, Role, Usage, estimate_message,
    estimate_text,
};
use loom_llm_mock::{Calls, MockProvider, Probability, Script};
use serde_json::json;

use crate::{after_tool, ask, chunks, mock, request, text};

#[tokio::test]
async fn without_a_script_it_repeats_what_was_said() {
    let (mock, clock) = mock("");
    assert_eq!(text(&mock, ask("hello")).await, "mock reply to: hello");
    assert!(clock.sleeps().is_empty());
}

#[tokio::test]
async fn the_first_rule_that_fits_answers() {
    let (mock, _) = mock(
        "
         rules:
           - { when: { equals: Ping }, reply: { text: exact } }
           - { when: { contains: PING }, reply: { text: part } }
           - { when: { contains: ping, turn: 2 }, reply: { text: never reached } }
           - { when: { turn: 2 }, reply: { text: second } }
         default: { text: none }",
    );
    assert_eq!(text(&mock, ask("Ping")).await, "exact");
    assert_eq!(text(&mock, ask("a ping?")).await, "part");
    assert_eq!(text(&mock, ask("other")).await, "none");
    let conversation = ["one", "two"].map(|said| Message::text(Role::User, said)).to_vec();
    assert_eq!(text(&mock, request(conversation, 1, None)).await, "second");
}

#[tokio::test]
async fn a_tool_loop_can_be_scripted() {
    let (mock, _) = mock(
        "rules:
           - when: { contains: rows }
             reply: { text: Looking., tool_calls: [{ name: query, arguments: { sql: SELECT 1 } }, { name: ping, repeat: 2 }] }
           - when: { contains: rows, after_tool: query }
             reply: { text: 'It says {{tool_result}}, you said {{user}}.' }
           - when: { after_tool: '*' }
             reply: { text: other tool }",
    );
    let completion = mock.complete(ask("how many rows")).await.unwrap();
    assert_eq!(completion.finish, FinishReason::ToolUse);
    let calls: Vec<_> = Message { role: Role::Assistant, content: completion.content }
        .tool_uses()
        .map(|(id, name, input)| (id.to_string(), name.to_owned(), input.clone()))
        .collect();
    assert_eq!(
        calls,
        [
            ("mock_1_1".into(), "query".into(), json!({"sql": "SELECT 1"})),
            ("mock_1_2".into(), "ping".into(), json!({})),
            ("mock_1_3".into(), "ping".into(), json!({})),
        ]
    );
    let answer = text(&mock, request(after_tool("how many rows", "query", "5"), 2, None)).await;
    assert_eq!(answer, "It says 5, you said how many rows.");
    assert_eq!(text(&mock, request(after_tool("how many rows", "list", "5"), 2, None)).await, "other tool");
    assert_eq!(mock.calls(), Calls { started: 3, refused: 0, tool_calls: 3 });
    mock.reset_calls();
    assert_eq!(mock.calls(), Calls::default());
}

#[tokio::test]
async fn usage_and_finish_are_scripted_or_estimated() {
    let (mock, _) = mock(
        "
         rules:
           - when: { contains: counted }
             reply: { text: x, finish: max_tokens, usage: { input: 5, output: 6, cache_read: 7, cache_write: 8 } }
         default: { text: four words of text }",
    );
    let counted = mock.complete(ask("counted")).await.unwrap();
    assert_eq!(counted.usage, Usage { input: 5, output: 6, cache_read: 7, cache_write: 8 });
    assert_eq!(counted.finish, FinishReason::MaxTokens);
    let estimated = mock.complete(ask("hi")).await.unwrap();
    let input = estimate_text("Be brief.") + estimate_message(&Message::text(Role::User, "hi"));
    let output = estimate_text("four words of text");
    assert_eq!(estimated.usage, Usage { input, output, ..Usage::default() });
}

#[tokio::test]
async fn a_scripted_error_refuses_the_call_or_breaks_its_stream() {
    let (mock, _) = mock(
        "chunk_size: 2
rules:
  - when: { contains: limit }
    reply: { error: { class: rate_limited, message: slow down, retry_after_ms: 1500 } }
  - when: { contains: cut }
    reply: { text: abcdef, error: { class: transient, after_chunks: 2 } }",
    );
    let error = mock.complete(ask("limit")).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::RateLimited, "slow down"));
    assert_eq!(error.retry_after, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(mock.calls().refused, 1);
    let arrivals = chunks(&mock, ask("cut")).await;
    let said: String = arrivals
        .iter()
        .filter_map(|arrival| match arrival {
            Ok(Chunk::Text { delta, .. }) => Some(&**delta),
            _ => None,
        })
        .collect();
    assert_eq!(said, "abcd");
    assert_eq!(arrivals.last().unwrap().as_ref().unwrap_err().class, ErrorClass::Transient);
}

#[tokio::test]
async fn chunks_are_cut_by_characters_and_make_the_same_answer() {
    let yaml = |size: usize| {
        format!(
            "chunk_size: {size}\ndefault: {{ text: 'naïve 日本語', tool_calls: [{{ name: t, arguments: [1, é] }}] }}"
        )
    };
    let (whole, _) = mock(&yaml(0));
    let (cut, _) = mock(&yaml(3));
    assert_eq!(chunks(&cut, ask("")).await.len(), 3 + 1 + 3 + 3);
    assert_eq!(whole.complete(ask("")).await.unwrap(), cut.complete(ask("")).await.unwrap());
}

#[tokio::test]
async fn an_empty_reply_says_nothing() {
    let (mock, _) = mock("default: {}");
    assert_eq!(mock.complete(ask("x")).await.unwrap_err().class, ErrorClass::Malformed);
}

#[tokio::test]
async fn it_can_be_reconfigured_while_running() {
    let (mock, _) = mock("default: { text: before }");
    assert_eq!(text(&mock, ask("x")).await, "before");
    mock.reconfigure(Script::parse("default: { text: after }").unwrap());
    assert_eq!(text(&mock, ask("x")).await, "after");
}

#[tokio::test]
async fn every_error_class_can_be_named() {
    let classes = [
        "transient",
        "rate_limited",
        "quota",
        "auth",
        "invalid",
        "unknown_model",
        "context_too_long",
        "malformed",
        "deadline",
        "cancelled",
    ];
    for name in classes {
        let (mock, _) = mock(&format!("default: {{ error: {{ class: {name} }} }}"));
        let class = mock.complete(ask("x")).await.unwrap_err().class;
        assert_eq!(format!("{class:?}").to_lowercase(), name.replace('_', ""));
    }
}

#[test]
fn what_can_do_nothing_is_refused_where_it_stands() {
    let cases = [
        ("seed: 1\nlatncy_ms: 5", 2, 1, "latncy_ms"),
        ("rules:\n  - when: { contain: x }\n    reply: {}", 2, 13, "contain"),
        ("rules:\n  - when: {}\n    reply: {}", 2, 11, "without a condition"),
        ("rules:\n  - when: { turn: 0 }\n    reply: {}", 2, 11, "counts from 1"),
        ("default:\n  text: 'hi {{name}}'", 2, 9, "unknown placeholder \"name\""),
        ("default:\n  text: 'hi {{user'", 2, 9, "not closed"),
        ("error_rate: 1.5", 1, 13, "not between 0 and 1"),
        ("latency_ms: -5", 1, 13, "u64"),
        ("default:\n  error: { class: teapot }", 2, 19, "teapot"),
        ("default:\n  text: x\n  error: { class: quota }", 2, 3, "sends nothing else"),
        ("default:\n  finish: stop\n  error: { class: quota, after_chunks: 1 }", 2, 3, "no `finish`"),
        ("default:\n  tool_calls: [{ name: t, args: {} }]", 2, 27, "args"),
        ("seed: 1\nseed: 2", 2, 1, "seed"),
    ];
    for (yaml, line, column, problem) in cases {
        let error = Script::parse(yaml).unwrap_err();
        assert!(error.problem.contains(problem), "{yaml}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{yaml}: {error}");
    }
}

#[tokio::test]
async fn the_documented_script_is_a_script() {
    let docs = include_str!("../../src/lib.rs");
    let lines = docs.lines().map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or(""));
    let yaml: Vec<&str> =
        lines.skip_while(|line| *line != "```yaml").skip(1).take_while(|line| *line != "```").collect();
    let script = Script::parse(&yaml.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(script.rules.len(), 5);
    let clock = std::sync::Arc::new(crate::JumpingClock::default());
    let mock = MockProvider::new(Script { error_rate: Probability::default(), ..script }, clock);
    let completion = mock.complete(request(after_tool("revenue?", "query", "7"), 1, None)).await.unwrap();
    assert_eq!(completion.content, [ContentBlock::text("The database says 7.")]);
}
