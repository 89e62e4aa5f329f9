//! The messages that wait until their session is free: turns that are accepted and have not begun.
//!
//! Each is stored before anybody is told that it waits. It begins when the turns before it are over, also after a stop, by
//! what its agent is then.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use loom_access::Principal;
use loom_agent::{Amounts, Event, EventKind};
use loom_base::{ErrorCode, SessionId, Timestamp, TraceId, TurnId};
use loom_store::{Advance, EndNotes, NewTurn, Queueing, SessionRecord, TurnEnd, TurnRecord};

use crate::accept::{prepare, time_over};
use crate::actor::Asked;
use crate::core::Core;
use crate::drive::Over;
use crate::sessions::cancelled_before_start;
use crate::step::Steps;
use crate::story::Story;
use crate::sync::Mutex;
use crate::{Error, Feed, Running, TurnRequest, ending};

/// The messages that wait in one session, in order.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
}

/// A message that waits.
pub(crate) struct Waiting {
    pub(crate) running: Running,
    pub(crate) request: Box<TurnRequest>,
    pub(crate) asked_at: Timestamp,
    accepted: NewTurn,
    /// Tells whether it is stored; `None` once it is.
    stored: Option<oneshot::Receiver<bool>>,
    /// Resolves when nobody wants it any more. The lock is never taken: it lets threads share a reference.
    unwanted: Mutex<BoxFuture<'static, GivenUp>>,
}

/// Why a message that waits never begins.
#[derive(Clone, Debug)]
pub(crate) enum GivenUp {
    /// Someone cancelled it.
    Cancelled,
    /// It cannot begin.
    Refused(Error),
}

/// What is stored of a request: all but who asks and how to stop it. Its agent is the session's.
#[derive(Serialize, Deserialize)]
struct StoredRequest {
    asked_at: Timestamp,
    query: String,
    context: BTreeMap<String, String>,
    force_pattern: Option<String>,
    max_rounds: Option<u32>,
    timeout: Option<Duration>,
    reset_context: bool,
    detailed_trace: bool,
    trace: Option<(TraceId, String)>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a message behind those that wait. Who asked is told once it is stored.
    pub(crate) fn add(&mut self, core: &Arc<Core>, record: &SessionRecord, asked: Asked) {
        let Asked { request, asked_at, reply, .. } = asked;
        let made = self.make(core, record, request, asked_at);
        let (waiting, step) = match made {
            Ok(made) => made,
            // Whoever no longer waits for the reply does not need it.
            Err(error) => return drop(reply.send(Err(error))),
        };
        let (tell, stored) = oneshot::channel();
        let running = waiting.running.clone();
        self.waiting.push_back(Waiting { stored: Some(stored), ..waiting });
        // Queued at once, so that steps are written in this order.
        let receipt = core.stores.turns.advance(step);
        core.spawn(async move {
            let written = receipt.await;
            // Whoever has given it up does not ask.
            let _ = tell.send(written.is_ok());
            drop(reply.send(written.map(|()| running).map_err(Error::from)));
        });
    }

    fn make(
        &self,
        core: &Core,
        record: &SessionRecord,
        request: Box<TurnRequest>,
        asked_at: Timestamp,
    ) -> Result<(Waiting, Advance), Error> {
        if request.cancel.is_cancelled() {
            return Err(cancelled_before_start());
        }
        if self.waiting.len() >= core.limits.queue {
            return Err(queue_full(core, &record.id));
        }
        let turn = TurnId::new(&*core.ids);
        let prepared = prepare(core, &record.id, Some(record), turn, &request, asked_at)?;
        let mut accepted = prepared.record(&request);
        // Times order what waits.
        let last = self.waiting.back().map(|last| last.accepted.accepted_at + Duration::from_micros(1));
        accepted.accepted_at = accepted.accepted_at.max(last.unwrap_or_default());
        let step = Advance {
            session: record.id.clone(),
            epoch: record.epoch,
            turn,
            expected_seq: 0,
            append_id: core.ids.uuid(),
            events: Vec::new(),
            accept: Some(accepted.clone()),
            queueing: Queueing::Waits(stored(&request, asked_at)?),
            key: request.key.clone(),
            messages: Vec::new(),
            calls: Vec::new(),
            spent: loom_agent::Spent::default(),
            reserved: None,
            end: None,
            context_start: None,
            at: accepted.accepted_at,
        };
        let name = prepared.agent.definition.name.clone();
        let running = running(record, turn, &accepted, name, request.cancel.child_token());
        Ok((Waiting::new(core, running, request, asked_at, accepted), step))
    }

    /// Takes in what is `stored`, in that order. What is known already stays as it is; of what was to be stored it is not
    /// known yet whether it is.
    pub(crate) fn restore(
        &mut self,
        core: &Core,
        record: &SessionRecord,
        stored: Vec<TurnRecord>,
    ) -> Result<(), Error> {
        let mut known = std::mem::take(&mut self.waiting);
        for turn in stored {
            let place = known.iter().position(|waiting| waiting.running.turn == turn.id);
            let waiting = place.and_then(|place| known.remove(place));
            self.waiting.push_back(match waiting {
                Some(waiting) => waiting,
                None => restored(core, record, turn)?,
            });
        }
        for waiting in known {
            if waiting.stored.is_some() {
                self.waiting.push_back(waiting);
            } else {
                waiting.running.feed.cut(Error::turn_not_found(waiting.running.turn));
            }
        }
        Ok(())
    }

    /// Takes the first out.
    pub(crate) async fn next(&mut self) -> Option<Waiting> {
        while let Some(mut waiting) = self.waiting.pop_front() {
            if waiting.is_stored().await {
                return Some(waiting);
            }
        }
        None
    }

    /// Puts one back that could not begin for now. Who reads it is told why, and finds it again by its id.
    pub(crate) fn put_back(&mut self, mut waiting: Waiting, error: &Error) {
        waiting.running.feed.cut(error.clone());
        waiting.running.feed = Arc::new(Feed::new(0, false));
        self.waiting.push_front(waiting);
    }

    /// What clients see of a turn that waits.
    pub(crate) fn find(&self, turn: TurnId) -> Option<&Running> {
        self.waiting.iter().map(|waiting| &waiting.running).find(|running| running.turn == turn)
    }

    /// Takes a turn out.
    pub(crate) fn remove(&mut self, turn: TurnId) -> Option<Waiting> {
        let place = self.waiting.iter().position(|waiting| waiting.running.turn == turn)?;
        self.waiting.remove(place)
    }

    /// Takes out the first that nobody wants any more.
    pub(crate) async fn unwanted(&mut self) -> (Waiting, GivenUp) {
        loop {
            let (place, why) = poll_fn(|context| {
                for (place, waiting) in self.waiting.iter_mut().enumerate() {
                    let unwanted = waiting.unwanted.get_mut().unwrap_or_else(PoisonError::into_inner);
                    if let Poll::Ready(why) = unwanted.as_mut().poll(context) {
                        return Poll::Ready((place, why));
                    }
                }
                Poll::Pending
            })
            .await;
            if let Some(waiting) = self.waiting.remove(place) {
                return (waiting, why);
            }
        }
    }

    /// Leaves all of it to whoever takes up the session. Who reads it is told why.
    pub(crate) fn leave(&mut self, error: &Error) {
        for waiting in self.waiting.drain(..) {
            waiting.running.feed.cut(error.clone());
        }
    }
}

impl Waiting {
    fn new(
        core: &Core,
        running: Running,
        request: Box<TurnRequest>,
        asked_at: Timestamp,
        accepted: NewTurn,
    ) -> Self {
        let (cancel, clock) = (running.cancel.clone(), Arc::clone(&core.clock));
        let due = request.timeout.map(|time| (time, (asked_at + time).since(clock.now())));
        let unwanted: BoxFuture<'static, _> = Box::pin(async move {
            let over = async {
                match due {
                    Some((time, left)) => {
                        clock.sleep(left).await;
                        time
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => GivenUp::Cancelled,
                time = over => GivenUp::Refused(time_over(time)),
            }
        });
        Self { running, request, asked_at, accepted, stored: None, unwanted: Mutex::new(unwanted) }
    }

    async fn is_stored(&mut self) -> bool {
        match self.stored.take() {
            Some(told) => told.await.unwrap_or(false),
            None => true,
        }
    }

    /// Ends it, durably, and tells whoever reads it.
    pub(crate) async fn give_up(mut self, core: &Core, epoch: u64, why: GivenUp) -> Result<(), Error> {
        if !self.is_stored().await {
            return Ok(());
        }
        let Self { running, accepted, .. } = self;
        let ended = end(core, epoch, &running, accepted, why).await;
        if let Err(error) = &ended {
            tracing::warn!(turn.id = %running.turn, %error, "a turn that waits was not given up");
            running.feed.cut(error.clone());
        }
        ended
    }
}

async fn end(
    core: &Core,
    epoch: u64,
    running: &Running,
    accepted: NewTurn,
    why: GivenUp,
) -> Result<(), Error> {
    let at = core.clock.now();
    let kind = match why {
        GivenUp::Cancelled => EventKind::CancelRequested,
        GivenUp::Refused(error) => EventKind::NotBegun { code: error.code, message: error.message.into() },
    };
    let mut story = Story::new(running.turn, accepted.config.clone(), Arc::clone(&running.feed), usize::MAX);
    let event = Event::new(at, kind);
    story.apply(&event)?;
    let not_over = || Error::new(ErrorCode::Internal, "a turn that is given up is not over");
    let outcome = story.turn.outcome().cloned().ok_or_else(not_over)?;
    let end = TurnEnd { outcome, ended_at: at, notes: EndNotes::default() };
    let turns = Arc::clone(&core.stores.turns);
    let mut steps = Steps::new(turns, running.session.clone(), epoch, running.turn, 0, 0);
    steps.event(event);
    steps.end(end.clone());
    steps.commit(&*core.ids, *story.turn.spent(), None, at).await?;
    running.feed.durable(1);
    let agent_name = running.agent_name.clone();
    let session_used = Amounts::default();
    ending::publish(core, &Over { story, accepted, end, agent_name, next_message: 0, session_used });
    Ok(())
}
/// The error of a message for which there is no room.
pub(crate) fn queue_full(core: &Core, session: &SessionId) -> Error {
    let message = format!("{} messages wait in session {session} already", core.limits.queue);
    Error { retry_after: Some(Duration::from_secs(1)), ..Error::new(ErrorCode::QueueFull, message) }
}

fn stored(request: &TurnRequest, asked_at: Timestamp) -> Result<serde_json::Value, Error> {
    let stored = StoredRequest {
        asked_at,
        query: request.query.clone(),
        context: request.context.clone(),
        force_pattern: request.force_pattern.clone(),
        max_rounds: request.max_rounds,
        timeout: request.timeout,
        reset_context: request.reset_context,
        detailed_trace: request.detailed_trace,
        trace: request.trace.clone(),
    };
    let failed = |error| Error::new(ErrorCode::Internal, format!("a request does not encode: {error}"));
    serde_json::to_value(stored).map_err(failed)
}

fn restored(core: &Core, record: &SessionRecord, turn: TurnRecord) -> Result<Waiting, Error> {
    let corrupt = |reason: &dyn std::fmt::Display| {
        Error::new(ErrorCode::StoreCorrupt, format!("what {} waits with does not decode: {reason}", turn.id))
    };
    let stored = turn.queued.clone().unwrap_or_default();
    let stored: StoredRequest = serde_json::from_value(stored).map_err(|error| corrupt(&error))?;
    let principal: Principal =
        record.principal.parse().map_err(|_| corrupt(&"its session has an owner that nobody is"))?;
    let request = TurnRequest {
        context: stored.context,
        force_pattern: stored.force_pattern,
        max_rounds: stored.max_rounds,
        timeout: stored.timeout,
        reset_context: stored.reset_context,
        detailed_trace: stored.detailed_trace,
        trace: stored.trace,
        principal,
        ..TurnRequest::new(stored.query).in_session(record.id.clone())
    };
    let agent = core.agents.known(&record.agent);
    let name = agent.map(|agent| agent.definition.name.clone()).unwrap_or_default();
    let running = running(record, turn.id, &turn.accepted, name, request.cancel.child_token());
    Ok(Waiting::new(core, running, Box::new(request), stored.asked_at, turn.accepted))
}

fn running(
    record: &SessionRecord,
    turn: TurnId,
    accepted: &NewTurn,
    agent_name: String,
    cancel: CancellationToken,
) -> Running {
    Running {
        session: record.id.clone(),
        turn,
        trace: accepted.trace,
        agent: accepted.agent.clone(),
        agent_name,
        feed: Arc::new(Feed::new(0, false)),
        cancel,
    }
}
