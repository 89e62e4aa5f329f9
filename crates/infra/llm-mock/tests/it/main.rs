//! The mock as a provider: every key of a script, through the trait that callers use.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made fails its test")]

mod script;
mod timing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;

use loom_base::{CallId, Clock, Deadline, EffectId, Timestamp, TraceId, TurnId};
use loom_llm::{
    CallContext, Chunk, CompletionRequest, ContentBlock, LlmError, LlmProvider, Message, Role, Sampling,
};
use loom_llm_mock::{MockProvider, Script};

/// A clock that jumps to the end of each sleep and remembers it.
#[derive(Default)]
struct JumpingClock(Mutex<Vec<Duration>>);

impl JumpingClock {
    fn sleeps(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0) + self.sleeps().iter().sum()
    }

    fn monotonic(&self) -> Duration {
        self.sleeps().iter().sum()
    }

    async fn sleep(&self, span: Duration) {
        self.0.lock().unwrap().push(span);
    }
}

fn mock(yaml: &str) -> (MockProvider, Arc<JumpingClock>) {
    let clock = Arc::new(JumpingClock::default());
    let script = Script::parse(yaml).unwrap_or_else(|error| panic!("{error}"));
    (MockProvider::new(script, Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn ask(text: &str) -> CompletionRequest {
    request(vec![Message::text(Role::User, text)], 1, None)
}

fn request(messages: Vec<Message>, number: u32, deadline: Option<Deadline>) -> CompletionRequest {
    let turn = TurnId::from_uuid(uuid::Uuid::from_u128(7));
    CompletionRequest {
        model: "m".into(),
        system: "Be brief.".into(),
        messages: messages.into_iter().map(Arc::new).collect(),
        tools: [].into(),
        max_output_tokens: 100,
        sampling: Sampling::default(),
        context: CallContext {
            effect: EffectId { turn, number },
            session: "s".parse().unwrap(),
            agent: "a".parse().unwrap(),
            trace: TraceId::of_turn(turn),
            deadline,
        },
    }
}

/// The user's text, a call of `tool`, and its result.
fn after_tool(text: &str, tool: &str, result: &str) -> Vec<Message> {
    let id = CallId::new("c1");
    let call = ContentBlock::ToolUse { id: id.clone(), name: tool.into(), input: serde_json::json!({}) };
    let result = ContentBlock::ToolResult { id, content: result.into(), is_error: false };
    vec![
        Message::text(Role::User, text),
        Message { role: Role::Assistant, content: vec![call] },
        Message { role: Role::User, content: vec![result] },
    ]
}

async fn chunks(mock: &MockProvider, request: CompletionRequest) -> Vec<Result<Chunk, LlmError>> {
    mock.stream(request).await.unwrap().collect().await
}

async fn text(mock: &MockProvider, request: CompletionRequest) -> String {
    let completion = mock.complete(request).await.unwrap();
    completion.content.iter().filter_map(ContentBlock::as_text).collect()
}
