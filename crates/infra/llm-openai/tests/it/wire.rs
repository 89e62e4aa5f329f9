//! What goes over OpenAI's wire, both ways.

use std::sync::Arc;

use anyhow::Context as _;
use loom_base::{CallId, Secret};
use loom_http_client::{Client, Limits};
use loom_llm::{
    CompletionRequest, ContentBlock, CredentialSource, ErrorClass, LlmError, LlmProvider, Message, Role,
    Sampling, ToolDefinition,
};
use loom_llm_openai::{OpenAi, Settings};
use loom_testkit::wire_suite::WireProvider;
use loom_testkit::{API_KEY, Dialect, ManualClock, ProviderFake, Reply, completion_request, wire_suite};
use serde_json::{Value, json};

struct Subject;

impl WireProvider for Subject {
    const DIALECT: Dialect = Dialect::OpenAi;

    fn provider(
        base_url: &str,
        key: Option<&'static str>,
        clock: Arc<ManualClock>,
    ) -> anyhow::Result<Arc<dyn LlmProvider>> {
        let missing = || LlmError::new("openai", ErrorClass::Auth, "no key; configure openai_api_key");
        let key: CredentialSource = Arc::new(move || key.map(Secret::new).ok_or_else(missing));
        let client = Client::new(Limits::default(), clock)?;
        Ok(Arc::new(OpenAi::new(client, Settings::openai(base_url.parse()?, key))))
    }
}

wire_suite!(Subject);

fn message(role: Role, content: impl Into<Vec<ContentBlock>>) -> Arc<Message> {
    Arc::new(Message { role, content: content.into() })
}

fn call(id: &str, input: Value) -> ContentBlock {
    ContentBlock::ToolUse { id: CallId::new(id), name: "query".into(), input }
}

fn result(id: &str, content: &str, is_error: bool) -> ContentBlock {
    ContentBlock::ToolResult { id: CallId::new(id), content: content.into(), is_error }
}

#[tokio::test]
async fn a_plain_request_on_the_wire() -> anyhow::Result<()> {
    let fake = ProviderFake::openai(vec![Reply::text("hi")]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    provider.complete(completion_request("gpt-4.1", "hello")?).await?;
    let request = fake.requests().pop().context("no request")?;
    assert_eq!(request.path, "/v1/chat/completions");
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(request.body) });
    Ok(())
}

#[tokio::test]
async fn a_rich_conversation_on_the_wire() -> anyhow::Result<()> {
    let thinking = ContentBlock::Thinking { text: "hm".into(), signature: None };
    let document = |media_type: &str, data: &str| ContentBlock::Document {
        media_type: media_type.into(),
        data: data.into(),
        title: Some("notes.pdf".into()),
    };
    let picture = ContentBlock::Image { media_type: "image/png".into(), data: "aGk=".into() };
    let request = CompletionRequest {
        system: "You are concise.".into(),
        tools: [ToolDefinition {
            name: "query".into(),
            description: "Runs a query.".into(),
            input_schema: json!({"type": "object", "properties": {"sql": {"type": "string"}}}),
            role: None,
        }]
        .into(),
        sampling: Sampling {
            temperature: Some(0.7),
            top_p: Some(0.9),
            top_k: Some(40),
            stop_sequences: vec!["END".into()],
        },
        messages: vec![
            message(Role::User, [picture, document("application/pdf", "aGk=")]),
            message(Role::User, [document("text/markdown", "IyBoaQ=="), ContentBlock::text("What is it?")]),
            message(
                Role::Assistant,
                [thinking, ContentBlock::text("Let me look."), call("call_1", json!({"sql": "a"}))],
            ),
            message(Role::Assistant, [call("call_2", json!("{oops"))]),
            message(Role::User, [ContentBlock::text("and hurry")]),
            message(Role::User, [result("call_1", "1 row", false), result("call_2", "no such column", true)]),
        ],
        ..completion_request("gpt-4.1", "")?
    };
    let fake = ProviderFake::openai(vec![Reply::text("hi")]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    provider.complete(request).await?;
    let request = fake.requests().pop().context("no request")?;
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(request.body) });
    Ok(())
}

#[tokio::test]
async fn an_account_without_quota_is_no_rate_limit() -> anyhow::Result<()> {
    let reply = Reply::failure(429, "insufficient_quota", "You exceeded your current quota").retry_after("1");
    let fake = ProviderFake::openai(vec![reply]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let error =
        provider.complete(completion_request("gpt-4.1", "hello")?).await.err().context("it answered")?;
    assert_eq!(error.class, ErrorClass::Quota);
    Ok(())
}
