//! What goes over the wire, both ways.

use std::sync::Arc;

use anyhow::Context as _;
use loom_base::{CallId, Secret};
use loom_http_client::{Client, Limits};
use loom_llm::{
    CompletionRequest, ContentBlock, ErrorClass, FinishReason, LlmError, LlmProvider, Message, Role,
    Sampling, ToolDefinition, Usage,
};
use loom_llm_anthropic::Anthropic;
use loom_testkit::wire_suite::WireProvider;
use loom_testkit::{API_KEY, Dialect, ManualClock, ProviderFake, Reply, completion_request, wire_suite};
use serde_json::json;

struct Subject;

impl WireProvider for Subject {
    const DIALECT: Dialect = Dialect::Anthropic;

    fn provider(
        base_url: &str,
        key: Option<&'static str>,
        clock: Arc<ManualClock>,
    ) -> anyhow::Result<Arc<dyn LlmProvider>> {
        let missing = || LlmError::new("anthropic", ErrorClass::Auth, "no key; configure anthropic_api_key");
        let key = Arc::new(move || key.map(Secret::new).ok_or_else(missing));
        Ok(Arc::new(Anthropic::new(Client::new(Limits::default(), clock)?, base_url.parse()?, key)))
    }
}

wire_suite!(Subject);

async fn ask(
    request: CompletionRequest,
    reply: Reply,
) -> anyhow::Result<(loom_llm::Completion, ProviderFake)> {
    let fake = ProviderFake::anthropic(vec![reply]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    Ok((provider.complete(request).await?, fake))
}

fn message(role: Role, content: impl Into<Vec<ContentBlock>>) -> Arc<Message> {
    Arc::new(Message { role, content: content.into() })
}

fn call(id: &str, input: serde_json::Value) -> ContentBlock {
    ContentBlock::ToolUse { id: CallId::new(id), name: "query".into(), input }
}

fn result(id: &str, content: &str, is_error: bool) -> ContentBlock {
    ContentBlock::ToolResult { id: CallId::new(id), content: content.into(), is_error }
}

#[tokio::test]
async fn a_plain_request_on_the_wire() -> anyhow::Result<()> {
    let (_, fake) = ask(completion_request("claude-sonnet-4-5", "hello")?, Reply::text("hi")).await?;
    let request = fake.requests().pop().context("no request")?;
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.headers["anthropic-version"], "2023-06-01");
    assert_eq!(request.headers["content-type"], "application/json");
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(request.body) });
    Ok(())
}

#[tokio::test]
async fn a_rich_conversation_on_the_wire() -> anyhow::Result<()> {
    let tool = |name: &str| ToolDefinition {
        name: name.into(),
        description: "Runs a query.".into(),
        input_schema: json!({"type": "object", "properties": {"sql": {"type": "string"}}}),
        role: None,
    };
    let thinking = |signature: Option<&str>| ContentBlock::Thinking {
        text: "hm".into(),
        signature: signature.map(Into::into),
    };
    let document = |media_type: &str, data: &str| ContentBlock::Document {
        media_type: media_type.into(),
        data: data.into(),
        title: Some("notes".into()),
    };
    let picture = ContentBlock::Image { media_type: "image/png".into(), data: "aGk=".into() };
    let request = CompletionRequest {
        system: "You are concise.".into(),
        tools: [tool("query"), tool("schema")].into(),
        sampling: Sampling {
            temperature: Some(0.7),
            top_p: Some(0.9),
            top_k: Some(40),
            stop_sequences: vec!["END".into()],
        },
        messages: vec![
            message(
                Role::User,
                [picture, document("application/pdf", "aGk="), document("text/markdown", "IyBoaQ==")],
            ),
            message(Role::User, [ContentBlock::text("What is in there?"), ContentBlock::text("  ")]),
            message(
                Role::Assistant,
                [thinking(Some("sig")), thinking(None), call("toolu_1", json!({"sql": "a"}))],
            ),
            message(Role::Assistant, [call("functions.query:2", json!("{oops"))]),
            message(Role::User, [ContentBlock::text("and hurry")]),
            message(Role::User, [result("toolu_1", "1 row", false), result("functions.query:2", "no", true)]),
        ],
        ..completion_request("claude-sonnet-4-5", "")?
    };
    let (_, fake) = ask(request, Reply::text("hi")).await?;
    let request = fake.requests().pop().context("no request")?;
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(request.body) });
    Ok(())
}

#[tokio::test]
async fn thinking_keeps_its_signature_and_goes_back_with_it() -> anyhow::Result<()> {
    let reply = Reply::tool_calls([("toolu_1", "query", "{}")]).after_thinking("Let me see.", "c2lnbmVk");
    let fake = ProviderFake::anthropic(vec![reply, Reply::text("done")]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let mut request = completion_request("claude-sonnet-4-5", "hello")?;
    let completion = provider.complete(request.clone()).await?;
    let thinking = ContentBlock::Thinking { text: "Let me see.".into(), signature: Some("c2lnbmVk".into()) };
    assert_eq!(completion.content[0], thinking);
    request.messages.push(message(Role::Assistant, completion.content));
    request.messages.push(message(Role::User, [result("toolu_1", "1 row", false)]));
    provider.complete(request).await?;
    let body = fake.requests().pop().context("no request")?.body;
    let sent = json!({"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk"});
    assert_eq!(body["messages"][1]["content"][0], sent);
    Ok(())
}

#[tokio::test]
async fn tokens_written_to_the_cache_are_counted_apart() -> anyhow::Result<()> {
    let usage = Usage { input: 3, output: 4, cache_read: 50, cache_write: 600 };
    let reply = Reply::text("hi").using(usage).finishing(FinishReason::StopSequence);
    let (completion, _fake) = ask(completion_request("claude-sonnet-4-5", "hello")?, reply).await?;
    assert_eq!(completion.usage, usage);
    assert_eq!(completion.finish, FinishReason::StopSequence);
    Ok(())
}

#[tokio::test]
async fn a_document_that_cannot_be_sent_is_refused_before_anything_is() -> anyhow::Result<()> {
    let fake = ProviderFake::anthropic(Vec::new()).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    for (media_type, data) in [("application/zip", "aGk="), ("text/plain", "not base64!")] {
        let mut request = completion_request("claude-sonnet-4-5", "hello")?;
        let document =
            ContentBlock::Document { media_type: media_type.into(), data: data.into(), title: None };
        request.messages.push(message(Role::User, [document]));
        let error = provider.complete(request).await.err().context("it was sent")?;
        assert_eq!(error.class, ErrorClass::Invalid);
    }
    assert!(fake.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_stream_that_ends_before_its_last_event_is_no_answer() -> anyhow::Result<()> {
    let start =
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"hi"}}"#;
    let stop = r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let fake = ProviderFake::anthropic(vec![Reply::raw_events(format!("{start}\n\n{stop}\n\n"))]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let error = provider.complete(completion_request("claude-sonnet-4-5", "hello")?).await.err();
    assert_eq!(error.context("it passed for an answer")?.class, ErrorClass::Transient);
    Ok(())
}
