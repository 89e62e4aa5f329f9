//! What a call of the mock costs when it waits for nothing: `cargo bench -p loom-llm-mock`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use loom_base::{Clock, EffectId, Timestamp, TraceId, TurnId};
use loom_llm::{CallContext, CompletionRequest, LlmProvider, Message, Role, Sampling, ToolDefinition};
use loom_llm_mock::{MockProvider, Script};

const CALLS: u32 = 200_000;

struct StoppedClock;

#[async_trait]
impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _span: Duration) {}
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let echo = MockProvider::new(Script::default(), Arc::new(StoppedClock));
    let script =
        "rules: [{when: {contains: rows}, reply: {tool_calls: [{name: query, arguments: {sql: SELECT 1}}]}}]";
    let caller = MockProvider::new(Script::parse(script)?, Arc::new(StoppedClock));
    for (name, provider, messages, tools) in
        [("echo, 1 message", &echo, 1, 0), ("tool call, 21 messages, 8 tools", &caller, 21, 8)]
    {
        let request = request(messages, tools)?;
        let started = Instant::now();
        for _ in 0..CALLS {
            runtime.block_on(provider.complete(request.clone()))?;
        }
        println!("{name}: {} ns a call", (started.elapsed() / CALLS).as_nanos());
    }
    Ok(())
}

fn request(messages: usize, tools: usize) -> Result<CompletionRequest, Box<dyn std::error::Error>> {
    let turn = TurnId::from_uuid(uuid::Uuid::from_u128(1));
    let message = Arc::new(Message::text(Role::User, "how many rows are there?"));
    let schema =
        serde_json::json!({"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"]});
    let tool = |index| ToolDefinition {
        name: format!("tool_{index}").into(),
        description: "Does something useful with a database.".into(),
        input_schema: schema.clone(),
        role: None,
    };
    Ok(CompletionRequest {
        model: "mock".into(),
        system: "You answer questions.".into(),
        messages: vec![message; messages],
        tools: (0..tools).map(tool).collect(),
        max_output_tokens: 1_000,
        sampling: Sampling::default(),
        context: CallContext {
            effect: EffectId { turn, number: 1 },
            session: "s".parse()?,
            agent: "a".parse()?,
            trace: TraceId::of_turn(turn),
            deadline: None,
        },
    })
}
