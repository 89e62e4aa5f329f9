//! Models that misbehave: each time a typed outcome, and the next request works.

use std::time::Duration;

use loom_embed::AskError;
use loom_embed::base::ErrorCode;

use crate::setup::{PATIENCE, folder, loom};

const BAD: &str = "
rules:
  - { when: { contains: unknown tool }, reply: { tool_calls: [{ name: launch_rocket }] } }
  - { when: { contains: unknown tool, after_tool: '*' }, reply: { text: 'told: {{tool_result}}' } }
  - { when: { contains: bad arguments }, reply: { tool_calls: [{ name: add, arguments: { a: one } }] } }
  - { when: { contains: bad arguments, after_tool: '*' }, reply: { text: 'told: {{tool_result}}' } }
  - { when: { contains: thousand }, reply: { tool_calls: [{ name: add, arguments: { a: 1, b: 2 }, repeat: 1000 }] } }
  - { when: { contains: thousand, after_tool: '*' }, reply: { text: 'told: {{tool_result}}' } }
  - { when: { contains: endless }, reply: { tool_calls: [{ name: add, arguments: { a: 1, b: 2 } }] } }
  - { when: { contains: endless, after_tool: '*' }, reply: { tool_calls: [{ name: add, arguments: { a: 1, b: 2 } }] } }
  - { when: { contains: nothing }, reply: {} }
  - { when: { contains: often }, reply: { error: { class: rate_limited, retry_after_ms: 90000 } } }
  - { when: { contains: key }, reply: { error: { class: auth, message: no key } } }
default: { text: fine }
";

#[tokio::test]
async fn the_model_is_told_what_was_wrong_with_its_calls() {
    let folder = folder();
    let loom = loom(folder.path(), BAD).await;
    let answer = loom.ask("an unknown tool, please").await.unwrap();
    assert!(answer.text.contains("no tool is called \"launch_rocket\"; there are: add"), "{}", answer.text);
    let answer = loom.ask("bad arguments, please").await.unwrap();
    assert!(answer.text.contains("argument"), "{}", answer.text);
    let answer = loom.ask("a thousand calls").await.unwrap();
    assert!(answer.text.contains("not run: this turn has used up its tool calls"), "{}", answer.text);
    assert_eq!(answer.report.spent.tool_calls, 10);
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_without_an_answer_has_a_code() {
    let folder = folder();
    let loom = loom(folder.path(), BAD).await;
    for (question, code) in [
        ("an endless one", ErrorCode::TurnLimit),
        ("say nothing", ErrorCode::LlmInvalidResponse),
        ("no key", ErrorCode::Credential),
    ] {
        let Err(AskError::Failed(failure)) = loom.ask(question).await else {
            panic!("{question} was answered")
        };
        assert_eq!(failure.error.code, code, "{question}: {}", failure.error);
        assert_eq!(loom.ask("how are you?").await.unwrap().text, "fine");
    }
    loom.close(PATIENCE).await;
}

#[tokio::test]
async fn a_turn_that_fails_for_want_of_quota_says_when_to_try_again() {
    let folder = folder();
    let loom = loom(folder.path(), BAD).await;
    let Err(AskError::Failed(failure)) = loom.ask("too often").await else { panic!("it was answered") };
    assert_eq!(failure.error.code, ErrorCode::LlmRateLimited);
    assert_eq!(failure.error.retry_after, Some(Duration::from_secs(90)));
    loom.close(PATIENCE).await;
}
