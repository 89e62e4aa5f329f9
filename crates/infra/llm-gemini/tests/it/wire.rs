//! What goes over the wire, both ways.

use std::sync::Arc;

use anyhow::Context as _;
use loom_base::{CallId, Secret};
use loom_http_client::{Client, Limits};
use loom_llm::{
    CompletionRequest, ContentBlock, ErrorClass, LlmError, LlmProvider, Message, Role, Sampling,
    ToolDefinition, Usage, signature,
};
use loom_llm_gemini::Gemini;
use loom_testkit::wire_suite::WireProvider;
use loom_testkit::{API_KEY, Dialect, ManualClock, ProviderFake, Reply, completion_request, wire_suite};
use serde_json::json;

const MODEL: &str = "gemini-2.5-flash";

struct Subject;

impl WireProvider for Subject {
    const DIALECT: Dialect = Dialect::Gemini;

    fn provider(
        base_url: &str,
        key: Option<&'static str>,
        clock: Arc<ManualClock>,
    ) -> anyhow::Result<Arc<dyn LlmProvider>> {
        let missing = || LlmError::new("gemini", ErrorClass::Auth, "no key; configure gemini_api_key");
        let key = Arc::new(move || key.map(Secret::new).ok_or_else(missing));
        Ok(Arc::new(Gemini::new(Client::new(Limits::default(), clock)?, base_url.parse()?, key)))
    }
}

wire_suite!(Subject);

async fn ask(
    request: CompletionRequest,
    reply: Reply,
) -> anyhow::Result<(loom_llm::Completion, ProviderFake)> {
    let fake = ProviderFake::gemini(vec![reply]).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    Ok((provider.complete(request).await?, fake))
}

fn message(role: Role, content: impl Into<Vec<ContentBlock>>) -> Arc<Message> {
    Arc::new(Message { role, content: content.into() })
}

fn call(id: &str, name: &str, input: serde_json::Value) -> ContentBlock {
    ContentBlock::ToolUse { id: CallId::new(id), name: name.into(), input }
}

fn result(id: &str, content: &str, is_error: bool) -> ContentBlock {
    ContentBlock::ToolResult { id: CallId::new(id), content: content.into(), is_error }
}

fn thinking(signature: Option<Arc<str>>) -> ContentBlock {
    ContentBlock::Thinking { text: "hm".into(), signature }
}

#[tokio::test]
async fn a_plain_request_on_the_wire() -> anyhow::Result<()> {
    let (_, fake) = ask(completion_request(MODEL, "hello")?, Reply::text("hi")).await?;
    let request = fake.requests().pop().context("no request")?;
    assert_eq!(request.path, "/v1beta/models/gemini-2.5-flash:streamGenerateContent");
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
                [
                    thinking(None),
                    thinking(Some(signature::of("gemini", "c2ln"))),
                    thinking(Some("of another provider".into())),
                    call("call_1", "query", json!({"sql": "a"})),
                ],
            ),
            message(Role::Assistant, [call("call_2", "schema", json!("{oops"))]),
            message(Role::User, [ContentBlock::text("and hurry")]),
            message(Role::User, [result("call_1", "1 row", false), result("call_2", "no", true)]),
        ],
        ..completion_request(MODEL, "")?
    };
    let (_, fake) = ask(request, Reply::text("hi")).await?;
    let request = fake.requests().pop().context("no request")?;
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(request.body) });
    Ok(())
}

#[tokio::test]
async fn a_signature_goes_back_with_the_part_it_came_with() -> anyhow::Result<()> {
    let reply = Reply::tool_calls([("call_1", "query", "{}"), ("call_2", "query", "{}")]);
    let replies = vec![reply.after_thinking("Let me see.", "c2lnbmVk"), Reply::text("done")];
    let fake = ProviderFake::gemini(replies).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let mut request = completion_request(MODEL, "hello")?;
    let completion = provider.complete(request.clone()).await?;
    let thought = ContentBlock::Thinking { text: "Let me see.".into(), signature: None };
    let signed = ContentBlock::Thinking { text: "".into(), signature: Some("gemini:c2lnbmVk".into()) };
    assert_eq!(completion.content[..2], [thought, signed]);
    request.messages.push(message(Role::Assistant, completion.content));
    request
        .messages
        .push(message(Role::User, [result("call_1", "1 row", false), result("call_2", "2 rows", false)]));
    provider.complete(request).await?;
    let body = fake.requests().pop().context("no request")?.body;
    let call = |id: &str| json!({"functionCall": {"id": id, "name": "query", "args": {}}});
    let mut first = call("call_1");
    first["thoughtSignature"] = "c2lnbmVk".into();
    assert_eq!(body["contents"][1]["parts"], json!([first, call("call_2")]));
    Ok(())
}

#[tokio::test]
async fn the_signature_of_a_text_goes_back_too() -> anyhow::Result<()> {
    let replies = vec![Reply::text("hi").after_thinking("hm", "c2lnbmVk"), Reply::text("done")];
    let fake = ProviderFake::gemini(replies).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let mut request = completion_request(MODEL, "hello")?;
    let completion = provider.complete(request.clone()).await?;
    request.messages.push(message(Role::Assistant, completion.content));
    request.messages.push(Arc::new(Message::text(Role::User, "and?")));
    provider.complete(request).await?;
    let body = fake.requests().pop().context("no request")?.body;
    let parts = json!([{"text": "hi"}, {"text": "", "thoughtSignature": "c2lnbmVk"}]);
    assert_eq!(body["contents"][1]["parts"], parts);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() -> anyhow::Result<()> {
    let fake = ProviderFake::gemini(Vec::new()).await?;
    let provider = Subject::provider(&fake.base_url(), Some(API_KEY), Arc::default())?;
    let archive =
        ContentBlock::Document { media_type: "application/zip".into(), data: "aGk=".into(), title: None };
    for block in [archive, result("call_9", "of no call", false)] {
        let mut request = completion_request(MODEL, "hello")?;
        request.messages.push(message(Role::User, [block]));
        let error = provider.complete(request).await.err().context("it was sent")?;
        assert_eq!(error.class, ErrorClass::Invalid);
    }
    let elsewhere = completion_request("../../files", "hello")?;
    let error = provider.complete(elsewhere).await.err().context("it was sent")?;
    assert_eq!(error.class, ErrorClass::UnknownModel);
    assert!(fake.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn thoughts_count_as_output_and_a_blocked_question_as_a_refusal() -> anyhow::Result<()> {
    let thought = r#"data: {"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":5,"thoughtsTokenCount":40}}"#;
    let reply = Reply::raw_events(format!("{}\n\n", thought.replace('\n', "")));
    let (completion, _fake) = ask(completion_request(MODEL, "hello")?, reply).await?;
    assert_eq!(completion.usage, Usage { input: 12, output: 45, ..Usage::default() });
    let blocked =
        r#"data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#;
    let (completion, _fake) =
        ask(completion_request(MODEL, "hello")?, Reply::raw_events(format!("{blocked}\n\n"))).await?;
    assert_eq!(completion.finish, loom_llm::FinishReason::Refusal);
    Ok(())
}
