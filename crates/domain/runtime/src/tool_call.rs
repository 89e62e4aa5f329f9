//! Runs one tool call: within its time, with retries where they are harmless, stopped when it must stop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tracing::Instrument;

use loom_base::{Clock, ErrorCode, FailPoint};
use loom_tools::{EffectClass, Tool, ToolContext, ToolError, ToolErrorKind, ToolOutput};

/// How long a tool that was told to stop may take to do so.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// Attempts at a call that failed before it did anything.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; doubled for the third.
const PAUSE: Duration = Duration::from_millis(100);

/// How a call ended.
pub(crate) enum Ended {
    /// With a result or an error.
    Known(Result<ToolOutput, ToolError>),
    /// Cut off, and it may have taken effect.
    Unknown(ToolError),
}

/// Runs `tool`. Retries happen under the same effect id and only where repeating is harmless.
pub(crate) async fn run(
    tool: Arc<dyn Tool>,
    input: Value,
    context: ToolContext,
    clock: Arc<dyn Clock>,
) -> Ended {
    let class = tool.spec().effect;
    let attempts = if class.is_repeatable() { ATTEMPTS } else { 1 };
    let mut pause = PAUSE;
    for attempt in 1..=attempts {
        let result = run_once(&tool, input.clone(), &context, &*clock).await;
        match result {
            Err(error) if error.kind == ToolErrorKind::Unavailable && attempt < attempts => {
                if stopped_during(&context, clock.sleep(pause)).await {
                    return ended(class, Err(error));
                }
                pause *= 2;
            }
            result => return ended(class, result),
        }
    }
    // The last attempt always returns.
    Ended::Known(Err(ToolError::failed(ErrorCode::Internal, "the tool was not run")))
}

fn ended(class: EffectClass, result: Result<ToolOutput, ToolError>) -> Ended {
    match result {
        Err(error) if error.kind == ToolErrorKind::Interrupted && class == EffectClass::Unsafe => {
            Ended::Unknown(error)
        }
        result => Ended::Known(result),
    }
}

async fn run_once(
    tool: &Arc<dyn Tool>,
    input: Value,
    context: &ToolContext,
    clock: &dyn Clock,
) -> Result<ToolOutput, ToolError> {
    let timeout = tool.spec().timeout;
    let mut attempt = context.clone();
    attempt.cancel = context.cancel.child_token();
    let stop = attempt.cancel.clone();
    // On a task of its own, so that a tool that blocks or panics harms only itself.
    let task_tool = Arc::clone(tool);
    let called = async move {
        FailPoint::ToolBeforeCall.pass();
        let result = task_tool.call(input, attempt).await;
        FailPoint::ToolAfterCall.pass();
        result
    };
    let mut task = tokio::spawn(called.in_current_span());
    let finished = tokio::select! {
        joined = &mut task => return joined.unwrap_or_else(|error| Err(crashed(&error))),
        () = clock.sleep(timeout) => false,
        () = context.cancel.cancelled() => true,
    };
    stop.cancel();
    tokio::select! {
        // What it still says is the truth about it, also when it says that it finished.
        joined = &mut task => joined.unwrap_or_else(|error| Err(crashed(&error))),
        () = clock.sleep(GRACE) => {
            task.abort();
            let (code, what) = if finished {
                (ErrorCode::Cancelled, "was cancelled".to_owned())
            } else {
                (ErrorCode::DeadlineExceeded, format!("took longer than {timeout:?}"))
            };
            Err(ToolError::interrupted(code, format!("the tool {what} and did not stop in time")))
        }
    }
}

fn crashed(error: &tokio::task::JoinError) -> ToolError {
    let what = if error.is_panic() { "panicked" } else { "was aborted" };
    ToolError::interrupted(ErrorCode::ToolFailed, format!("the tool {what}"))
}

async fn stopped_during(context: &ToolContext, wait: impl Future<Output = ()>) -> bool {
    tokio::select! {
        () = wait => false,
        () = context.cancel.cancelled() => true,
    }
}
