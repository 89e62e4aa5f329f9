//! The provider from question to answer, on three schemas that have nothing in common.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made fails its test")]

mod answers;
mod bindings;
mod conversations;
mod library;

use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};

use loom_base::{EffectId, TraceId, TurnId};
use loom_llm::{
    CallContext, Chunk, Completion, CompletionRequest, ContentBlock, LlmProvider, Message, Role, Sampling,
    ToolDefinition, ToolRole,
};
use loom_llm_offline::OfflineProvider;

const MUSIC_SHOP: &str = include_str!("fixtures/music_shop.json");
const HOSPITAL: &str = include_str!("fixtures/hospital.json");
const LOGISTICS: &str = include_str!("fixtures/logistics.json");
const PATTERNS: &str = include_str!("fixtures/patterns.json");

/// What the tools give back, by role.
type Tool<'a> = dyn Fn(ToolRole, &Value) -> Result<String, String> + 'a;

fn tools() -> Arc<[ToolDefinition]> {
    let tool = |name: &str, role| ToolDefinition {
        name: name.into(),
        description: "A tool.".into(),
        input_schema: json!({"type": "object"}),
        role,
    };
    // Names that say nothing: only the roles may count.
    [
        tool("tool_a", Some(ToolRole::SearchPatterns)),
        tool("tool_b", Some(ToolRole::Schema)),
        tool("tool_c", Some(ToolRole::RunPattern)),
        tool("tool_d", Some(ToolRole::Query)),
        tool("tool_e", None),
    ]
    .into()
}

fn request(messages: &[Arc<Message>], tools: Arc<[ToolDefinition]>, number: u32) -> CompletionRequest {
    let turn = TurnId::from_uuid(uuid::Uuid::from_u128(7));
    CompletionRequest {
        model: "words".into(),
        system: "Answer from the data.".into(),
        messages: messages.to_vec(),
        tools,
        max_output_tokens: 1_000,
        sampling: Sampling::default(),
        context: CallContext {
            effect: EffectId { turn, number },
            session: "s".parse().unwrap(),
            agent: "a".parse().unwrap(),
            trace: TraceId::of_turn(turn),
            deadline: None,
        },
    }
}

/// A conversation with the provider, its tools played by a function.
#[derive(Default)]
struct Session {
    messages: Vec<Arc<Message>>,
    /// Every call that was made, by the tool's role.
    calls: Vec<(ToolRole, Value)>,
    steps: u32,
}

impl Session {
    async fn complete(&mut self) -> Completion {
        self.steps += 1;
        OfflineProvider::new().complete(request(&self.messages, tools(), self.steps)).await.unwrap()
    }

    async fn ask(&mut self, question: &str, tool: &Tool<'_>) -> String {
        self.messages.push(Arc::new(Message::text(Role::User, question)));
        for _ in 0..8 {
            let message = Message { role: Role::Assistant, content: self.complete().await.content };
            let results: Vec<ContentBlock> = message
                .tool_uses()
                .map(|(id, name, input)| {
                    let role = tools().iter().find(|tool| *tool.name == *name).unwrap().role.unwrap();
                    self.calls.push((role, input.clone()));
                    let (content, is_error) = match tool(role, input) {
                        Ok(content) => (content, false),
                        Err(reason) => (reason, true),
                    };
                    ContentBlock::ToolResult { id: id.clone(), content: content.into(), is_error }
                })
                .collect();
            let text = message.plain_text();
            self.messages.push(Arc::new(message));
            if results.is_empty() {
                return text;
            }
            self.messages.push(Arc::new(Message { role: Role::User, content: results }));
        }
        panic!("no answer after eight calls");
    }

    /// The inputs of the patterns run so far.
    fn runs(&self) -> Vec<&Value> {
        self.calls.iter().filter(|(role, _)| *role == ToolRole::RunPattern).map(|(_, input)| input).collect()
    }
}

/// Tools over `schema`, where every run finds `rows`.
fn found(schema: &'static str, rows: Value) -> impl Fn(ToolRole, &Value) -> Result<String, String> {
    move |role, _| match role {
        ToolRole::SearchPatterns => Ok(PATTERNS.to_owned()),
        ToolRole::Schema => Ok(schema.to_owned()),
        ToolRole::RunPattern => Ok(rows.to_string()),
        other => Err(format!("{other:?} is not needed")),
    }
}

fn no_rows() -> Value {
    json!({"columns": ["n"], "rows": [], "row_count": 0, "truncated": false})
}

/// What is run for a question, as `pattern(name = value, …)`, or else what is said.
async fn plan(tool: &Tool<'_>, question: &str) -> String {
    let mut session = Session::default();
    let text = session.ask(question, tool).await;
    let Some(run) = session.runs().first().copied() else { return text };
    let parameters: Vec<String> = run["parameters"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    format!("{}({})", run["pattern"].as_str().unwrap(), parameters.join(", ")).replace('"', "")
}

/// Every question must lead to the run beside it.
async fn check(tool: &Tool<'_>, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (question, expected) in cases {
        let plan = plan(tool, question).await;
        if plan != *expected {
            wrong.push(format!("{question}\n  wanted {expected}\n  got    {plan}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn streamed(messages: &[Arc<Message>]) -> Vec<Chunk> {
    let stream = OfflineProvider::new().stream(request(messages, tools(), 1)).await.unwrap();
    stream.map(Result::unwrap).collect().await
}
