//! A tool made of a function.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use loom_base::ErrorCode;
use loom_llm::ToolDefinition;
use loom_tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde_json::Value;

/// How long a function may take unless [`FunctionTool::timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

type Function = dyn Fn(Value) -> BoxFuture<'static, Result<Value, String>> + Send + Sync;

/// A tool whose work is an async function from JSON arguments to a JSON result, or to an error for the model to read.
///
/// It is [`EffectClass::Unsafe`] until it says otherwise: someone must approve each call unless the agent's permissions allow
/// it, and after a crash it is not run again.
pub struct FunctionTool {
    spec: ToolSpec,
    function: Box<Function>,
}

impl FunctionTool {
    /// The tool `name`. `schema` is the JSON Schema of its arguments, an object.
    pub fn new<F, Work>(name: &str, description: &str, schema: Value, function: F) -> Self
    where
        F: Fn(Value) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<Value, String>> + Send + 'static,
    {
        let definition = ToolDefinition {
            name: name.into(),
            description: description.into(),
            input_schema: schema,
            role: None,
        };
        let spec = ToolSpec { definition, effect: EffectClass::Unsafe, timeout: TIMEOUT, backend: None };
        Self { spec, function: Box::new(move |input| Box::pin(function(input))) }
    }

    /// The tool `name`, which changes nothing: it runs without asking, and again after a crash.
    pub fn pure<F, Work>(name: &str, description: &str, schema: Value, function: F) -> Self
    where
        F: Fn(Value) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Self::new(name, description, schema, function).effect(EffectClass::Pure)
    }

    /// Declares what it does to the world.
    #[must_use]
    pub fn effect(mut self, effect: EffectClass) -> Self {
        self.spec.effect = effect;
        self
    }

    /// Sets how long one call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = timeout;
        self
    }
}

#[async_trait]
impl Tool for FunctionTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        tokio::select! {
            result = (self.function)(input) => match result {
                Ok(data) => Ok(ToolOutput::new(data)),
                Err(message) => Err(ToolError::failed(ErrorCode::ToolFailed, message)),
            },
            () = context.cancel.cancelled() => {
                Err(ToolError::interrupted(ErrorCode::Cancelled, "the call was stopped"))
            }
        }
    }
}

impl From<FunctionTool> for Arc<dyn Tool> {
    fn from(tool: FunctionTool) -> Arc<dyn Tool> {
        Arc::new(tool)
    }
}
