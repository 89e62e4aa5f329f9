//! Results that come after their turn has ended: they go into the ledger, and never into the conversation.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use loom_agent::{CallOutcome, CallState, Resolution, Turn};
use loom_base::{Clock, EffectId, TurnId};
use loom_store::{CallResolution, Error, TurnStore};
use loom_tools::{EffectClass, ToolErrorKind};

use super::Reply;
use crate::tool_call::{Ended, GRACE};

/// Who says what became of a call that was cut off.
const BY: &str = "the tool";
/// How long after it was told to stop a tool may still say what it did.
const PATIENCE: Duration = Duration::from_secs(GRACE.as_secs() + 1);

/// The calls of a turn that is over of which nobody knows yet whether they took effect.
pub(super) fn any_unknown(turn: &Turn) -> bool {
    turn.calls().iter().any(|call| {
        call.request.class == EffectClass::Unsafe && call.state == CallState::Done(CallOutcome::Unknown)
    })
}

/// Waits a while for what was cut off, and records what it says it did.
pub(super) async fn settle(
    turns: Arc<dyn TurnStore>,
    clock: Arc<dyn Clock>,
    turn: TurnId,
    mut replies: FuturesUnordered<BoxFuture<'static, Reply>>,
) {
    let settling = async {
        while let Some(reply) = replies.next().await {
            let Reply::Tool { effect, ended, .. } = reply else { continue };
            let effect = EffectId { turn, number: effect };
            let Some((resolution, result)) = said(ended) else { continue };
            let (by, at) = (BY.to_owned(), clock.now());
            let resolution = CallResolution { resolution, by, result: Some(result), at };
            match turns.resolve(effect, resolution).await {
                // It was no unknown one, or someone was faster.
                Ok(()) | Err(Error::Missing { .. } | Error::Conflict { .. }) => {}
                Err(error) => tracing::warn!(%effect, %error, "a late result was not recorded"),
            }
        }
    };
    tokio::select! {
        () = settling => {}
        () = clock.sleep(PATIENCE) => {}
    }
}

/// What a call that was cut off says it did; `None` when it does not know.
fn said(ended: Ended) -> Option<(Resolution, String)> {
    match ended {
        Ended::Known(Ok(output)) => Some((Resolution::Happened, output.data.to_string())),
        Ended::Known(Err(error)) if error.kind != ToolErrorKind::Interrupted => {
            Some((Resolution::DidNotHappen, error.message))
        }
        Ended::Known(Err(_)) | Ended::Unknown(_) => None,
    }
}
