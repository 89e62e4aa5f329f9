//! Servers that speak Chat Completions in their own way.

use std::sync::Arc;

use anyhow::Context as _;
use loom_http_client::{Client, Limits};
use loom_llm::{ContentBlock, ErrorClass, FinishReason, LlmProvider as _};
use loom_llm_openai::{OpenAi, Settings};
use loom_testkit::{ManualClock, ProviderFake, Reply, UNKNOWN_MODEL, completion_request};
use serde_json::json;

fn local(fake: &ProviderFake) -> anyhow::Result<OpenAi> {
    let client = Client::new(Limits::default(), Arc::new(ManualClock::default()))?;
    Ok(OpenAi::new(client, Settings::compatible("ollama", fake.base_url().parse()?, None)))
}

#[tokio::test]
async fn ollama_needs_no_key_and_sends_whole_tool_calls() -> anyhow::Result<()> {
    let reply = Reply::tool_calls([("call_a", "query", r#"{"n": 1}"#), ("call_b", "query", r#"{"n": 2}"#)])
        .after_thinking("hm", "");
    let fake = ProviderFake::ollama(vec![reply]).await?;
    let provider = local(&fake)?;
    let completion = provider.complete(completion_request("llama3.1:8b", "hello")?).await?;
    let call = |id: &str, n: u32| ContentBlock::ToolUse {
        id: loom_base::CallId::new(id),
        name: "query".into(),
        input: json!({"n": n}),
    };
    let thinking = ContentBlock::Thinking { text: "hm".into(), signature: None };
    assert_eq!(completion.content, [thinking, call("call_a", 1), call("call_b", 2)]);
    assert_eq!(completion.finish, FinishReason::ToolUse);
    assert_eq!(provider.name(), "ollama");

    let request = fake.requests().pop().context("no request")?;
    assert_eq!(request.path, "/v1/chat/completions");
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(
        (&request.body["max_tokens"], &request.body["max_completion_tokens"]),
        (&json!(1024), &json!(null))
    );
    Ok(())
}

#[tokio::test]
async fn a_model_that_was_not_pulled_is_unknown_and_the_error_names_the_provider() -> anyhow::Result<()> {
    let fake = ProviderFake::ollama(Vec::new()).await?;
    let error = local(&fake)?.complete(completion_request(UNKNOWN_MODEL, "hello")?).await.err();
    let error = error.context("it answered")?;
    assert_eq!(error.class, ErrorClass::UnknownModel);
    assert!(error.to_string().starts_with("ollama: ") && error.message.contains("try pulling it"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_stream_without_its_done_mark_is_whole_once_the_model_finished() -> anyhow::Result<()> {
    let said = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let replies = vec![
        Reply::raw_events(format!("{said}{finish}")),
        Reply::raw_events(said),
        Reply::raw_events(format!("{said}data: [DONE]\n\n")),
    ];
    let fake = ProviderFake::ollama(replies).await?;
    let provider = local(&fake)?;
    let request = completion_request("m", "hello")?;
    assert_eq!(provider.complete(request.clone()).await?.content, [ContentBlock::text("hi")]);
    for _ in 0..2 {
        let error = provider.complete(request.clone()).await.err().context("it was whole")?;
        assert_eq!(error.class, ErrorClass::Transient);
    }
    Ok(())
}
