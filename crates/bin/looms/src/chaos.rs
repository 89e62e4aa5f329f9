//! What `cargo xtask chaos` needs of a server: a place to die at, and tools whose effects are counted elsewhere.
//!
//! It exists with the feature `failpoints` only: shipped builds have neither.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loom_embed::Builder;
use loom_embed::base::{Armed, ErrorCode};
use loom_embed::llm::ToolDefinition;
use loom_embed::tools::{EffectClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::environment::Process;
use crate::failure::Failure;

/// Where the process dies: as `accept.after_commit:3`, see [`Armed`].
pub(crate) const FAIL_POINT: &str = "LOOM_FAILPOINT";
/// Where effects are counted.
pub(crate) const RECORDER: &str = "LOOM_RECORDER";

/// One tool for each class that a tool can have today. Changes that commit with our own write cannot be given back yet.
const TOOLS: [(&str, EffectClass); 3] = [
    ("record_pure", EffectClass::Pure),
    ("record_idempotent", EffectClass::Idempotent),
    ("record_unsafe", EffectClass::Unsafe),
];
/// Longer than any script lets a call take, and than a server is stopped for: what it began then ends there.
const TIMEOUT: Duration = Duration::from_secs(6);

/// Arms the fail point and adds the tools that the environment asks for.
pub(crate) fn prepare(mut builder: Builder, process: &Process) -> Result<Builder, Failure> {
    let invalid = |name: &str, error: &dyn std::fmt::Display| {
        Failure::new(ErrorCode::InvalidConfig, format!("{name}: {error}"))
    };
    if let Some(text) = process.get(FAIL_POINT) {
        text.parse::<Armed>().map_err(|error| invalid(FAIL_POINT, &error))?.arm();
    }
    if let Some(text) = process.get(RECORDER) {
        let recorder = text.parse().map_err(|error| invalid(RECORDER, &error))?;
        for (name, class) in TOOLS {
            builder = builder.tool(Arc::new(Recorded::new(name, class, recorder)) as Arc<dyn Tool>);
        }
    }
    Ok(builder)
}

/// A tool whose effect is a line in the recorder's file.
struct Recorded {
    spec: ToolSpec,
    class: &'static str,
    recorder: SocketAddr,
}

impl Recorded {
    fn new(name: &'static str, effect: EffectClass, recorder: SocketAddr) -> Self {
        let schema = json!({
            "type": "object",
            "properties": {
                "key": { "type": "string" },
                "before_ms": { "type": "integer", "minimum": 0 },
                "after_ms": { "type": "integer", "minimum": 0 },
                "fate": { "enum": ["fine", "unavailable", "failed", "interrupted"] },
            },
            "required": ["key"],
        });
        let definition = ToolDefinition {
            name: name.into(),
            description: "Records that it was called.".into(),
            input_schema: schema,
            role: None,
        };
        let spec = ToolSpec { definition, effect, timeout: TIMEOUT, backend: None };
        Self { spec, class: name.trim_start_matches("record_"), recorder }
    }

    async fn record(&self, input: &Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let fate = input["fate"].as_str().unwrap_or("fine");
        pass_time(&input["before_ms"]).await;
        if fate == "unavailable" {
            return Err(ToolError::unavailable(ErrorCode::ToolFailed, "the script says: not now"));
        }
        let line = json!({ "effect": context.effect.to_string(), "class": self.class, "key": input["key"] });
        let said = tell(self.recorder, &format!("{line}\n")).await.map_err(|error| {
            ToolError::interrupted(ErrorCode::ToolFailed, format!("the recorder did not answer: {error}"))
        })?;
        pass_time(&input["after_ms"]).await;
        match fate {
            "failed" => Err(ToolError::failed(ErrorCode::ToolFailed, "the script says: failed")),
            "interrupted" => Err(ToolError::interrupted(ErrorCode::ToolFailed, "the script says: cut off")),
            _ => Ok(ToolOutput::new(json!({ "recorder": said }))),
        }
    }
}

#[async_trait]
impl Tool for Recorded {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: ToolContext) -> Result<ToolOutput, ToolError> {
        tokio::select! {
            recorded = self.record(&input, &context) => recorded,
            () = context.cancel.cancelled() => {
                Err(ToolError::interrupted(ErrorCode::Cancelled, "the call was stopped"))
            }
        }
    }
}

async fn pass_time(millis: &Value) {
    if let Some(millis) = millis.as_u64().filter(|millis| *millis > 0) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Sends a line and returns the line that acknowledges it.
async fn tell(recorder: SocketAddr, line: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(recorder).await?;
    connection.write_all(line.as_bytes()).await?;
    let mut said = String::new();
    if BufReader::new(connection).read_line(&mut said).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(said.trim_end().to_owned())
}
