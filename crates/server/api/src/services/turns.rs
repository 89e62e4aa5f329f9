//! Weave, `StreamWeave` and `StreamChat`.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

use loom_base::TraceId;
use loom_proto::v1::{StreamMode, WeaveProgress, WeaveRequest, WeaveResponse};
use loom_runtime::{Progress, Running, TurnFailure, TurnRequest};

use super::convert::{given, invalid, positive, session_id, unsupported};
use super::progress::{Teller, context_state, metadata, report_cost, table_result};
use super::{LoomApi, ProgressStream, principal_of};
use crate::{Failure, grpc_timeout};

/// Cancels a turn, also one that waits for its session, when the caller's connection goes and the caller asked for that.
struct Leash(Option<DropGuard>);

impl Leash {
    fn new(request: &WeaveRequest, turn: &TurnRequest) -> Self {
        Self(request.cancel_on_disconnect.then(|| turn.cancel.clone().drop_guard()))
    }

    fn release(&mut self) {
        if let Some(guard) = self.0.take() {
            guard.disarm();
        }
    }
}

impl LoomApi {
    pub(super) async fn weave_whole(&self, request: Request<WeaveRequest>) -> Result<WeaveResponse, Failure> {
        let asked = turn_request(&request)?;
        if request.get_ref().stream_mode != StreamMode::Unspecified as i32 {
            return Err(invalid("stream_mode", "a whole answer has no stream_mode: call StreamWeave"));
        }
        let mut leash = Leash::new(request.get_ref(), &asked);
        let running = self.runtime.sessions().start(asked).await?;
        let end = running.end().await;
        leash.release();
        let result = end.map_err(|failure| failure_of(&failure, &running))?;
        let report = &result.report;
        Ok(WeaveResponse {
            text: result.text.clone(),
            result: result.table.as_deref().map(table_result),
            session_id: running.session.to_string(),
            trace_id: running.trace.to_string(),
            cost: Some(report_cost(report)),
            metadata: Some(metadata(report, result.finish.as_str())),
            corrections: Vec::new(),
            agent_id: running.agent.to_string(),
            context_state: Some(context_state(report)),
            turn_id: running.turn.to_string(),
        })
    }

    pub(super) async fn weave_stream(
        &self,
        request: Request<WeaveRequest>,
    ) -> Result<ProgressStream, Failure> {
        let asked = turn_request(&request)?;
        let delta_only = request.get_ref().stream_mode() == StreamMode::Delta;
        let leash = Leash::new(request.get_ref(), &asked);
        let running = self.runtime.sessions().start(asked).await?;
        Ok(Box::pin(progress(running, Teller::new(delta_only), leash)))
    }
}

/// The events of a turn. A turn without an answer ends with a FAILED event and then the status.
fn progress(
    running: Running,
    teller: Teller,
    leash: Leash,
) -> impl Stream<Item = Result<WeaveProgress, Status>> + Send {
    let items = Box::pin(Arc::clone(&running.feed).read(0));
    let state = (items, running, teller, leash, None::<Status>);
    futures::stream::unfold(state, |(mut items, running, mut teller, mut leash, failed)| async move {
        if let Some(status) = failed {
            return Some((Err(status), (items, running, teller, leash, None)));
        }
        let item = items.next().await?;
        let status = match &item.progress {
            Progress::Failed(failure) => Some(Status::from(failure_of(failure, &running))),
            _ => None,
        };
        if matches!(item.progress, Progress::Failed(_) | Progress::Completed(_)) {
            leash.release();
        }
        let event = teller.tell(&item, &running);
        Some((Ok(event), (items, running, teller, leash, status)))
    })
}

/// A turn's failure with the ids by which it can be looked up.
fn failure_of(failure: &TurnFailure, running: &Running) -> Failure {
    Failure::from(failure.error.clone())
        .with("session_id", running.session.to_string())
        .with("turn_id", running.turn.to_string())
        .with("trace_id", running.trace.to_string())
}

fn turn_request(request: &Request<WeaveRequest>) -> Result<TurnRequest, Failure> {
    let weave = request.get_ref().clone();
    if !weave.backend_config.is_empty() {
        return Err(unsupported(
            "backend_config",
            "backends are configured on the server and named by the agent",
        ));
    }
    if weave.occurred_at.is_some() {
        return Err(unsupported("occurred_at", "a turn happens when it is accepted"));
    }
    if StreamMode::try_from(weave.stream_mode).is_err() {
        return Err(invalid("stream_mode", format!("{} is no stream mode", weave.stream_mode)));
    }
    let timeout = positive("timeout_seconds", weave.timeout_seconds)?.map(u64::from).map(Duration::from_secs);
    let deadline = grpc_timeout(request.metadata());
    Ok(TurnRequest {
        query: weave.query,
        session: given(weave.session_id).map(|id| session_id(&id)).transpose()?,
        agent: given(weave.agent_id),
        context: weave.context,
        force_pattern: given(weave.force_pattern),
        max_rounds: positive("max_rounds", weave.max_rounds)?,
        timeout: timeout.into_iter().chain(deadline).min(),
        reset_context: weave.reset_context,
        detailed_trace: weave.enable_trace,
        trace: trace_parent(request),
        cancel: CancellationToken::new(),
        principal: principal_of(request),
    })
}

/// The caller's trace and span, when it sent a usable `traceparent` (W3C Trace Context, §3.2). One that is not usable
/// is ignored, as the standard asks.
fn trace_parent(request: &Request<WeaveRequest>) -> Option<(TraceId, String)> {
    let header = request.metadata().get("traceparent")?.to_str().ok()?;
    let mut parts = header.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_span =
        span.len() == 16 && span.bytes().all(|byte| byte.is_ascii_hexdigit()) && span != "0000000000000000";
    let usable = version.len() == 2 && version != "ff" && is_span;
    Some((trace.parse().ok()?, span.to_owned())).filter(|_| usable)
}
