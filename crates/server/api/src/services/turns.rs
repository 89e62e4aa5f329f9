//! Weave, `StreamWeave`, `StreamChat`, and turns by their ids.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use prost::Message as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

use loom_access::Principal;
use loom_base::{Digest, ErrorCode, TraceId, TurnId};
use loom_proto::v1::{
    CancelTurnRequest, CancelTurnResponse, ListTurnsRequest, ListTurnsResponse, ReplaySessionRequest,
    StreamMode, StreamTurnRequest, UnfinishedTurn, WeaveProgress, WeaveRequest, WeaveResponse,
};
use loom_runtime::{Cursor, MOST_STALLED, Progress, Running, TurnFailure, TurnRequest, WhenBusy};
use loom_store::{IdempotencyKey, Page, RequestKey};

use super::convert::{count, given, invalid, page, positive, session_id, turn_id, unsupported};
use super::progress::{Teller, context_state, metadata, report_cost, table_result};
use super::{LoomApi, ProgressStream, principal_of};
use crate::request::{IDEMPOTENCY_KEY, LAST_EVENT_ID};
use crate::{Failure, grpc_timeout};

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;

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
        let asked = turn_request(&request, "Weave")?;
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
        let asked = turn_request(&request, "StreamWeave")?;
        let delta_only = request.get_ref().stream_mode() == StreamMode::Delta;
        let leash = Leash::new(request.get_ref(), &asked);
        let running = self.runtime.sessions().start(asked).await?;
        Ok(Box::pin(progress(running, None, Teller::new(delta_only), leash)))
    }

    pub(super) async fn turn_stream(
        &self,
        request: &Request<StreamTurnRequest>,
    ) -> Result<ProgressStream, Failure> {
        let asked = request.get_ref();
        if StreamMode::try_from(asked.stream_mode).is_err() {
            return Err(invalid("stream_mode", format!("{} is no stream mode", asked.stream_mode)));
        }
        let turn = turn_id(&asked.turn_id)?;
        let last = request.metadata().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        let after = given(asked.after_event_id.clone()).or_else(|| last.and_then(|id| given(id.to_owned())));
        let after = after.map(|id| cursor(turn, &id)).transpose()?;
        let running = self.runtime.sessions().attach(turn, after, principal_of(request)).await?;
        let teller = Teller::new(asked.stream_mode() == StreamMode::Delta);
        Ok(Box::pin(progress(running, after, teller, Leash(None))))
    }

    pub(super) async fn session_replay(
        &self,
        request: &ReplaySessionRequest,
        principal: Principal,
    ) -> Result<ProgressStream, Failure> {
        let session = session_id(&request.session_id)?;
        let runtime = Arc::clone(&self.runtime);
        // So that a session that is not there is refused at once.
        runtime.sessions().turns_of(&session, principal, Page::new(0, 1)).await?;
        Ok(Box::pin(async_stream::try_stream! {
            let mut told = 0;
            loop {
                let page = Page::new(told, Page::DEFAULT_LIMIT);
                let turns = runtime.sessions().turns_of(&session, principal, page).await.map_err(Failure::from)?;
                if turns.items.is_empty() {
                    break;
                }
                told += turns.items.len() as u64;
                for turn in turns.items {
                    let running = runtime.sessions().replay(turn, principal).await.map_err(Failure::from)?;
                    let mut teller = Teller::new(true);
                    let mut items = Arc::clone(&running.feed).read(None).boxed();
                    while let Some(item) = items.next().await {
                        yield teller.tell(&item, &running);
                    }
                }
            }
        }))
    }

    pub(super) async fn turn_cancel(
        &self,
        request: &CancelTurnRequest,
        principal: Principal,
    ) -> Result<CancelTurnResponse, Failure> {
        self.runtime.sessions().cancel_turn(turn_id(&request.turn_id)?, principal).await?;
        Ok(CancelTurnResponse {})
    }

    pub(super) async fn turn_list(
        &self,
        request: &ListTurnsRequest,
        principal: Principal,
    ) -> Result<ListTurnsResponse, Failure> {
        let page = page(request.offset, request.limit)?;
        let listed = self.runtime.sessions().unfinished(principal, page).await?;
        let turns = listed.items.into_iter().map(|turn| UnfinishedTurn {
            turn_id: turn.turn.to_string(),
            session_id: turn.session.to_string(),
            agent_id: turn.agent.to_string(),
            accepted_at: turn.accepted_at.as_seconds(),
            recoveries: count(u64::from(turn.recoveries)),
            quarantined: turn.stalled >= MOST_STALLED,
            queued: turn.is_queued,
        });
        Ok(ListTurnsResponse { turns: turns.collect(), total_count: count(listed.total) })
    }
}

/// The place in `turn`'s feed that an event's id names.
fn cursor(turn: TurnId, event_id: &str) -> Result<Cursor, Failure> {
    let place = event_id.split_once('.').filter(|(of, _)| *of == turn.to_string());
    place.and_then(|(_, place)| place.parse().ok()).ok_or_else(|| {
        let message = format!("{event_id:?} is not the id of an event of {turn}");
        Failure::new(ErrorCode::InvalidCursor, message).with("field", "after_event_id")
    })
}

/// The events of a turn. A turn without an answer ends with a FAILED event and then the status.
fn progress(
    running: Running,
    after: Option<Cursor>,
    mut teller: Teller,
    leash: Leash,
) -> impl Stream<Item = Result<WeaveProgress, Status>> + Send {
    for item in after.map(|after| running.feed.until(after)).unwrap_or_default() {
        // What was seen counts for what is cumulative.
        teller.tell(&item, &running);
    }
    let items = Arc::clone(&running.feed).read(after).boxed();
    let state = (items, running, teller, leash, None::<Status>);
    futures::stream::unfold(state, |(mut items, running, mut teller, mut leash, failed)| async move {
        if let Some(status) = failed {
            return Some((Err(status), (items, running, teller, leash, None)));
        }
        let Some(item) = items.next().await else {
            // It was cut off: the turn goes on, and its id finds it again.
            let cut = running.feed.cut_because().map(|why| with_ids(why.into(), &running))?;
            leash.release();
            return Some((
                Err(Status::from(cut)),
                (futures::stream::empty().boxed(), running, teller, leash, None),
            ));
        };
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
    with_ids(failure.error.clone().into(), running)
}

fn with_ids(failure: Failure, running: &Running) -> Failure {
    failure
        .with("session_id", running.session.to_string())
        .with("turn_id", running.turn.to_string())
        .with("trace_id", running.trace.to_string())
}

fn turn_request(request: &Request<WeaveRequest>, method: &str) -> Result<TurnRequest, Failure> {
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
    let when_busy = when_busy(weave.when_busy)?;
    let timeout = positive("timeout_seconds", weave.timeout_seconds)?.map(u64::from).map(Duration::from_secs);
    let deadline = grpc_timeout(request.metadata());
    let key = idempotency_key(request, method)?;
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
        when_busy,
        key,
        cancel: CancellationToken::new(),
        principal: principal_of(request),
    })
}

/// What is to become of messages that find a session at work, where someone says.
pub(super) fn when_busy(given: i32) -> Result<Option<WhenBusy>, Failure> {
    match loom_proto::v1::WhenBusy::try_from(given) {
        Ok(loom_proto::v1::WhenBusy::Unspecified) => Ok(None),
        Ok(loom_proto::v1::WhenBusy::Queue) => Ok(Some(WhenBusy::Queue)),
        Ok(loom_proto::v1::WhenBusy::Interrupt) => Ok(Some(WhenBusy::Interrupt)),
        Ok(loom_proto::v1::WhenBusy::Reject) => Ok(Some(WhenBusy::Reject)),
        Err(_) => Err(invalid("when_busy", format!("{given} is none of its values"))),
    }
}

/// The key that the caller names the request by, with the digest of what it asks.
fn idempotency_key(request: &Request<WeaveRequest>, method: &str) -> Result<Option<IdempotencyKey>, Failure> {
    let Some(key) = request.metadata().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let usable = |key: &&str| (1..=MAX_KEY_BYTES).contains(&key.len());
    let key = key.to_str().ok().filter(usable).ok_or_else(|| {
        invalid(IDEMPOTENCY_KEY, format!("a key has 1 to {MAX_KEY_BYTES} printable ASCII characters"))
    })?;
    let digest = Digest::of(request.get_ref().encode_to_vec());
    let principal = principal_of(request).to_string();
    let key = RequestKey { principal, method: method.to_owned(), key: key.to_owned() };
    Ok(Some(IdempotencyKey { key, digest }))
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
