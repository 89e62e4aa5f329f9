//! A Loom on a scripted model, with one tool.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loom_embed::llm::{Capabilities, ChunkStream, CompletionRequest, LlmError, LlmProvider};
use loom_embed::mock::{MockProvider, Script};
use loom_embed::runtime::{AgentDefinition, Behavior, PatternChoice};
use loom_embed::tools::EffectClass;
use loom_embed::{FunctionTool, Loom, SystemClock};
use serde_json::json;

/// An agent called `tester` that patterns do not disturb.
pub(crate) fn agent() -> AgentDefinition {
    let mut definition: AgentDefinition = serde_json::from_value(json!({ "name": "tester" })).unwrap();
    definition.system_prompt = "Test.".into();
    definition.patterns = PatternChoice { enabled: false, ..PatternChoice::default() };
    definition.behavior = Behavior { timeout: Duration::from_secs(20), ..Behavior::default() };
    definition
}

/// `add {a, b}` gives their sum.
pub(crate) fn add_tool() -> FunctionTool {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": false,
    });
    FunctionTool::new("add", "Adds two numbers.", schema, |input| async move {
        let number = |name: &str| input[name].as_i64().ok_or("not a number");
        Ok(json!({ "sum": number("a")? + number("b")? }))
    })
    .effect(EffectClass::Pure)
}

/// A Loom on `folder` whose model plays `script`.
pub(crate) async fn loom(folder: &Path, script: &str) -> Loom {
    loom_with(folder, script, agent()).await
}

/// The same with another agent.
pub(crate) async fn loom_with(folder: &Path, script: &str, agent: AgentDefinition) -> Loom {
    let provider = MockProvider::new(Script::parse(script).unwrap(), Arc::new(SystemClock));
    Loom::builder()
        .data_dir(folder)
        .provider("scripted", "script-1", Arc::new(provider))
        .tool(add_tool())
        .agent(agent)
        .build()
        .await
        .unwrap()
}

/// A provider that plays a script and keeps what it was asked.
pub(crate) struct Overheard {
    provider: MockProvider,
    asked: std::sync::Mutex<Vec<CompletionRequest>>,
}

impl Overheard {
    pub(crate) fn playing(script: &str) -> Arc<Self> {
        let provider = MockProvider::new(Script::parse(script).unwrap(), Arc::new(SystemClock));
        Arc::new(Self { provider, asked: std::sync::Mutex::default() })
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<CompletionRequest> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl LlmProvider for Overheard {
    fn name(&self) -> &str {
        self.provider.name()
    }

    fn capabilities(&self) -> &Capabilities {
        self.provider.capabilities()
    }

    async fn stream(&self, request: CompletionRequest) -> Result<ChunkStream, LlmError> {
        self.asked.lock().unwrap().push(request.clone());
        self.provider.stream(request).await
    }
}

/// Nothing that is stored contradicts a journal.
pub(crate) async fn assert_sound(loom: &Loom) {
    let mut wrong = Vec::new();
    loom.runtime().upkeep().verify(&mut |violation| wrong.push(violation)).await.unwrap();
    assert_eq!(wrong, []);
}

/// A folder that goes away with the test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Stops a Loom as a kill does: its data as they are at this moment, in another folder.
pub(crate) async fn kill(loom: Loom, folder: &tempfile::TempDir) -> tempfile::TempDir {
    let image = self::folder();
    for file in ["loom.db", "loom.db-wal"] {
        std::fs::copy(folder.path().join(file), image.path().join(file)).unwrap();
    }
    loom.close(Duration::ZERO).await;
    image
}

/// How long tests wait for running turns when they close a Loom.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Looks until `look` finds something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    /// How often a state that cannot be waited for is looked at.
    const LOOK: Duration = Duration::from_millis(5);
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    assert!(found.is_ok(), "it never came about: {what}");
    found.unwrap()
}
