//! One session: its mailbox, its recent conversation, its turns one after the other.

mod asked;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use loom_agent::Amounts;
use loom_base::{ErrorCode, FailPoint, SessionId, Timestamp, TurnId};
use loom_memory::{PastTurn, Recent};
use loom_store::{Journal, NewSession, NewTurn, SessionRecord};

use crate::accept::{Prepared, prepare};
use crate::command::{Command, Inbox};
use crate::core::Core;
use crate::drive::{Drive, Driven, Lost, Signals, Start, TurnBudgets};
use crate::lease::Lease;
use crate::queue::{Queue, Waiting};
use crate::restore::{self, Loaded};
use crate::sessions::{Actors, AtWork, RunningTurn, cancelled_before_start, shutting_down};
use crate::step::Steps;
use crate::{Agent, Error, Feed, Running, TurnRequest, ending};

/// How often a turn is taken up again without getting further; then someone has to look at it.
pub const MOST_STALLED: u32 = 3;

/// A message to answer.
pub(crate) struct Asked {
    pub(crate) request: Box<TurnRequest>,
    /// Whether the session's id was made for it: then nothing of it is stored.
    pub(crate) opens_session: bool,
    /// When the caller's time began to run.
    pub(crate) asked_at: Timestamp,
    /// Where it is told that its turn runs, or why not.
    pub(crate) reply: oneshot::Sender<Result<Running, Error>>,
}

/// How a turn that is about to begin came here.
enum Origin {
    /// By a message, whose sender waits for the reply.
    Message(oneshot::Sender<Result<Running, Error>>),
    /// It has waited.
    Queue(Box<Waiting>),
}

/// The actor of one session.
pub(crate) struct Actor {
    pub(crate) core: Arc<Core>,
    pub(crate) actors: Arc<Actors>,
    pub(crate) id: SessionId,
    pub(crate) mail: mpsc::Receiver<Asked>,
    pub(crate) inbox: Inbox,
    /// Shows others the turn that runs.
    pub(crate) running: Arc<RunningTurn>,
    /// Fires when no more turns are to begin.
    pub(crate) closing: CancellationToken,
    /// Fires when the session is removed: the running turn is to be cancelled.
    pub(crate) stop: CancellationToken,
    /// Fires when the server waits no longer: the running turn is left for whoever takes it up again.
    pub(crate) park: CancellationToken,
    /// The messages that wait.
    pub(crate) queue: Queue,
    /// How long until the session is tried again after it could not go on.
    pub(crate) retry: Retry,
    /// Why the session cannot go on.
    pub(crate) stuck: Option<Error>,
}

/// The wait after a session could not go on; doubled each time, up to a bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry(Option<Duration>);

impl Retry {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);

    /// What fails for good waits until the session is used again, and what another server holds goes on there.
    fn after(&mut self, error: &Error) {
        let again =
            error.code.retry() == loom_base::Retry::Later && error.code != ErrorCode::SessionElsewhere;
        self.0 = again.then(|| self.0.map_or(Self::FIRST, |wait| (wait * 2).min(Self::LONGEST)));
    }
}

impl Actor {
    /// Works until the session has been idle for long, is removed, or the server stops.
    pub(crate) async fn run(mut self) {
        self.core.metrics.sessions_active.increment();
        self.work().await;
        self.core.metrics.sessions_active.decrement();
    }

    async fn work(&mut self) {
        let mut loaded = None;
        loop {
            let is_leaving = self.closing.is_cancelled() || self.stop.is_cancelled();
            if !self.queue.is_empty() && self.stuck.is_none() && !is_leaving {
                Box::pin(self.begin_next(&mut loaded)).await;
                continue;
            }
            let (wait, again) = self.retry.0.map_or((self.core.limits.idle, false), |wait| (wait, true));
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return self.leave(&shutting_down()),
                () = self.stop.cancelled() => {
                    let message = format!("session {} was deleted before the turn started", self.id);
                    return self.leave(&Error::new(ErrorCode::Cancelled, message));
                }
                Some(command) = self.inbox.recv() => self.obey(&mut loaded, command).await,
                Some(asked) = self.mail.recv() => Box::pin(self.answer(&mut loaded, asked)).await,
                () = self.core.clock.sleep(wait) => {
                    if again {
                        self.obey(&mut loaded, Command::Wake { place: None }).await;
                    } else if self.leave_if_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// Leaves the map; whoever waits is told `error`.
    fn leave(&mut self, error: &Error) {
        self.actors.lock().remove(&self.id);
        self.mail.close();
        while let Ok(asked) = self.mail.try_recv() {
            // Whoever no longer waits for the reply does not need it.
            drop(asked.reply.send(Err(error.clone())));
        }
        self.inbox.refuse_all(error);
        self.queue.leave(error);
    }

    fn leave_if_empty(&mut self) -> bool {
        let mut actors = self.actors.lock();
        let empty = self.mail.is_empty() && self.inbox.is_empty();
        if empty {
            actors.remove(&self.id);
            if let Some(error) = &self.stuck {
                self.queue.leave(error);
            }
        }
        empty
    }

    /// Reads the session, if there is one, and runs the turn that a stop cut off to its end. After an error the session is
    /// read again, and tried again after a while.
    async fn be_ready(&mut self, loaded: &mut Option<Loaded>) -> Result<bool, Error> {
        let ready = self.load_and_take_up(loaded).await;
        match &ready {
            Ok(_) => (self.retry, self.stuck) = (Retry::default(), None),
            Err(error) => {
                *loaded = None;
                self.stuck = Some(error.clone());
                if error.code == ErrorCode::SessionElsewhere {
                    self.queue.leave(error);
                }
                if !matches!(error.code, ErrorCode::SessionElsewhere | ErrorCode::ShuttingDown) {
                    tracing::error!(session.id = %self.id, error.code = %error.code, %error, "a session cannot go on");
                }
                self.retry.after(error);
            }
        }
        ready
    }

    async fn load_and_take_up(&mut self, loaded: &mut Option<Loaded>) -> Result<bool, Error> {
        // What another may have taken meanwhile is read again.
        if !loaded.as_ref().is_some_and(|state| state.lease.is_held()) {
            *loaded = None;
            let Some((record, lease)) = self.claim().await? else { return Ok(false) };
            let mut state = restore::load(&self.core, record, lease).await?;
            self.queue.restore(&self.core, &state.record, std::mem::take(&mut state.waiting))?;
            *loaded = Some(state);
        }
        if let Some(state) = loaded
            && let Some(journal) = state.unfinished.take()
        {
            // On the heap, so that a session that waits is small.
            Box::pin(self.take_up(state, journal)).await?;
        }
        Ok(true)
    }

    /// The session, if there is one, as ours: whoever takes it after our claim fences us out by a later epoch.
    async fn claim(&self) -> Result<Option<(SessionRecord, Lease)>, Error> {
        let Some((lease, epoch)) = self.core.membership.claim(&self.id).await? else { return Ok(None) };
        let found = self.core.stores.sessions.get(&self.id).await?;
        if let Some(record) = &found
            && self.core.agents.known(&record.agent).is_none()
            && self.core.membership.is_shared()
        {
            // The one that had the session may have made its agent a moment ago.
            self.core.agents.refresh().await?;
        }
        Ok(found.map(|record| (SessionRecord { epoch, ..record }, lease)))
    }

    /// Runs one turn. After an error the session is read again before the next.
    async fn answer(&mut self, loaded: &mut Option<Loaded>, asked: Asked) {
        let Asked { request, opens_session, asked_at, reply } = asked;
        if request.cancel.is_cancelled() {
            return drop(reply.send(Err(cancelled_before_start())));
        }
        if !opens_session && let Err(error) = self.be_ready(loaded).await {
            return drop(reply.send(Err(error)));
        }
        let turn = TurnId::new(&*self.core.ids);
        let mut opened = self.open(loaded, turn, &request, asked_at).await;
        // Another server has made the session meanwhile: it is read, or found to be that one's.
        if matches!(&opened, Err(error) if error.code == ErrorCode::StoreConflict) && loaded.is_none() {
            opened = match self.be_ready(loaded).await {
                Ok(_) => self.open(loaded, turn, &request, asked_at).await,
                Err(error) => Err(error),
            };
        }
        let (mut state, prepared, budgets) = match opened {
            Ok(opened) => opened,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let span = self.span(turn, &prepared, request.detailed_trace);
        // On the heap, so that a session that waits is small.
        let asked = (*request, Origin::Message(reply));
        if Box::pin(self.run_turn(&mut state, turn, asked, (prepared, budgets))).instrument(span).await {
            *loaded = Some(state);
        }
    }

    /// Prepares the turn, and makes the session where there is none.
    async fn open(
        &self,
        loaded: &mut Option<Loaded>,
        turn: TurnId,
        request: &TurnRequest,
        asked_at: Timestamp,
    ) -> Result<(Loaded, Prepared, Box<TurnBudgets>), Error> {
        let used = loaded.as_ref().map(|state| state.used).unwrap_or_default();
        let record = loaded.as_ref().map(|state| &state.record);
        let prepared = prepare(&self.core, &self.id, record, turn, request, asked_at)?;
        let (prepared, budgets) = self.with_budgets(prepared, used).await?;
        // Only now: a turn that cannot run leaves no empty session behind.
        let state = match loaded.take() {
            Some(state) => state,
            None => self.create(&prepared.agent, request).await?,
        };
        Ok((state, prepared, budgets))
    }

    fn span(&self, turn: TurnId, prepared: &Prepared, detailed: bool) -> tracing::Span {
        // Spans that name no instance are nobody's to keep: the journal alone then tells the trace.
        let instance = detailed.then_some(self.core.instance.as_str());
        tracing::info_span!(
            "invoke_agent",
            loom.instance = instance,
            loom.trace_id = %prepared.trace,
            loom.session_id = %self.id,
            loom.agent_id = %prepared.agent.id,
            loom.turn_id = %turn,
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = %prepared.agent.definition.name,
        )
    }

    async fn create(&self, agent: &Agent, request: &TurnRequest) -> Result<Loaded, Error> {
        let session = NewSession {
            id: self.id.clone(),
            agent: agent.id.clone(),
            name: String::new(),
            backend: String::new(),
            principal: request.principal.to_string(),
            metadata: std::collections::BTreeMap::new(),
            when_busy: None,
            created_at: self.core.clock.now(),
        };
        let record = self.core.stores.sessions.create(session).await?;
        let claimed = self.core.membership.claim_new(&self.id, record.epoch).await?;
        let (lease, epoch) = claimed.ok_or_else(|| Error::session_not_found(&self.id))?;
        let record = SessionRecord { epoch, ..record };
        let (used, recent) = (Amounts::default(), Recent::default());
        Ok(Loaded { lease, record, used, recent, unfinished: None, waiting: Vec::new(), is_new: true })
    }

    /// What the turn may use, fixed at this moment too.
    async fn with_budgets(
        &self,
        mut prepared: Prepared,
        used: Amounts,
    ) -> Result<(Prepared, Box<TurnBudgets>), Error> {
        let budgets = TurnBudgets::open(&self.core, &mut prepared, used).await?;
        Ok((prepared, Box::new(budgets)))
    }

    /// Runs a prepared turn to its end; `false` when the state in memory may no longer be what is stored.
    async fn run_turn(
        &mut self,
        state: &mut Loaded,
        turn: TurnId,
        (request, origin): (TurnRequest, Origin),
        (prepared, budgets): (Prepared, Box<TurnBudgets>),
    ) -> bool {
        let accepted = prepared.record(&request);
        let turns = Arc::clone(&self.core.stores.turns);
        let record = &mut state.record;
        let mut steps = Steps::new(turns, self.id.clone(), record.epoch, turn, 0, record.next_message);
        let reset = request.reset_context.then_some(record.next_message);
        if let Some(start) = reset {
            record.context_start = start;
            state.recent.clear();
        }
        let running = match &origin {
            Origin::Message(_) => {
                steps.accept(accepted.clone(), request.key.clone(), reset);
                self.running(turn, &prepared, Feed::new(0, false), request.cancel.child_token())
            }
            // Its key is stored.
            Origin::Queue(waiting) => {
                steps.accept(accepted.clone(), None, reset);
                steps.begins();
                waiting.running.clone()
            }
        };
        let feed = Arc::clone(&running.feed);
        let mut origin = Some(origin);
        let driven = self
            .drive(state, steps, (prepared, budgets), accepted, running)
            .run(&request.query, |running| {
                if let Some(Origin::Message(reply)) = origin.take() {
                    // A caller that went away does not stop its turn.
                    drop(reply.send(Ok(running)));
                }
            })
            .await;
        match (driven, origin) {
            // It waits as before.
            (Err(error), Some(Origin::Queue(waiting))) => {
                self.running.set(None);
                if error.code == ErrorCode::StoreConflict {
                    // Someone else had it: what is stored says what became of it.
                    waiting.running.feed.cut(error.clone());
                } else {
                    self.queue.put_back(*waiting, &error);
                }
                self.be_stuck(&mut None, error);
                false
            }
            // Nothing was accepted, so there is nothing to take up.
            (Err(error), Some(Origin::Message(reply))) => {
                self.running.set(None);
                // The request was sent twice at once, and the other was first: this one's session is nobody's.
                if state.is_new
                    && error.code == ErrorCode::StoreConflict
                    && self.core.stores.sessions.delete(&self.id).await.is_err()
                {
                    tracing::warn!(session.id = %self.id, "an empty session stays: its first turn was not accepted");
                }
                drop(reply.send(Err(error)));
                false
            }
            (driven, _) => match self.finish(state, &feed, driven) {
                Ok(over) => over,
                Err(error) => {
                    self.retry.after(&error);
                    false
                }
            },
        }
    }

    /// Takes up a turn that a stop cut off, and runs it to its end.
    async fn take_up(&mut self, state: &mut Loaded, journal: Journal) -> Result<(), Error> {
        let (turn, record) = (journal.turn.id, &state.record);
        if journal.turn.stalled >= MOST_STALLED {
            return Err(Error::quarantined(turn));
        }
        let accepted = journal.turn.accepted.clone();
        let agent = self.core.agents.of_version(&accepted.agent, accepted.agent_version).await?;
        let prepared = Prepared::again(&self.core, agent, &journal.turn)?;
        let messages = restore::messages_of(&self.core, &journal).await?;
        let turns = Arc::clone(&self.core.stores.turns);
        let of_others = state.used.minus(Amounts::from(&journal.turn.spent));
        // Before it is counted as taken up: the store then counts the call that was cut off and the one that is made again.
        let reserved = journal.turn.reserved;
        let lost = Lost::of(reserved, journal.turn.stalled + 1);
        let spent = &journal.turn.spent;
        let budgets =
            TurnBudgets::open_again(&self.core, &prepared, of_others, spent, lost, reserved).await?;
        let recovered = turns.recover(&self.id, record.epoch, turn, budgets.cut_off()).await?;
        FailPoint::RecoverAfterClaim.pass();
        tracing::warn!(turn.id = %turn, session.id = %self.id, attempt = recovered.recoveries,
            "a turn that a stop cut off is taken up again");
        let events = u32::try_from(journal.events.len()).unwrap_or(u32::MAX);
        let steps = Steps::new(turns, self.id.clone(), record.epoch, turn, events, record.next_message);
        let cancel = CancellationToken::new();
        let running = self.running(turn, &prepared, Feed::new(recovered.recoveries, false), cancel);
        let feed = Arc::clone(&running.feed);
        let span = self.span(turn, &prepared, false);
        let drive = self.drive(state, steps, (prepared, Box::new(budgets)), accepted, running);
        let driven = drive.resume(&journal, messages, lost).instrument(span).await;
        if self.finish(state, &feed, driven)? {
            return Ok(());
        }
        let put_down = self.core.stores.turns.put_down(&self.id, state.record.epoch, turn).await;
        if let Err(error) = put_down {
            tracing::warn!(turn.id = %turn, %error, "a turn that a stop leaves counts as stalled");
        }
        // It stands before whatever waits: nothing goes past it.
        Err(shutting_down())
    }

    fn running(&self, turn: TurnId, prepared: &Prepared, feed: Feed, cancel: CancellationToken) -> Running {
        Running {
            session: self.id.clone(),
            turn,
            trace: prepared.trace,
            agent: prepared.agent.id.clone(),
            agent_name: prepared.agent.definition.name.clone(),
            feed: Arc::new(feed),
            cancel,
        }
    }

    fn drive<'a>(
        &'a mut self,
        state: &'a mut Loaded,
        steps: Steps,
        (prepared, budgets): (Prepared, Box<TurnBudgets>),
        accepted: NewTurn,
        running: Running,
    ) -> Drive<'a> {
        let cancel = running.cancel.clone();
        let when_busy = state.record.when_busy.unwrap_or(prepared.agent.definition.behavior.when_busy);
        self.running.set(Some(AtWork { turn: running.turn, cancel: cancel.clone(), when_busy }));
        let (stop, park) = (self.stop.clone(), self.park.clone());
        Drive::new(Start {
            core: &self.core,
            lease: state.lease.clone(),
            record: &state.record,
            recent: &mut state.recent,
            steps,
            prepared,
            accepted,
            budgets,
            running,
            signals: Signals {
                cancel,
                stop,
                closing: self.closing.clone(),
                park,
                inbox: &mut self.inbox,
                mail: &mut self.mail,
                queue: &mut self.queue,
            },
        })
    }

    /// Tells the feed how a drive ended; whether the turn is over, and with it the state in memory what is stored.
    fn finish(&self, state: &mut Loaded, feed: &Feed, driven: Result<Driven, Error>) -> Result<bool, Error> {
        self.running.set(None);
        match driven {
            Ok(Driven::Over(over)) => {
                ending::publish(&self.core, &over);
                state.record.next_message = over.next_message;
                state.used = over.session_used;
                state.is_new = false;
                let agent = self.core.agents.known(&state.record.agent);
                let l1 = agent
                    .map_or_else(|| loom_memory::Budgets::default().l1, |agent| agent.definition.memory.l1);
                let past = PastTurn { turn: over.story.turn.id(), messages: over.story.current };
                state.recent.push(past, l1);
                Ok(true)
            }
            Ok(Driven::Parked) => {
                feed.cut(shutting_down());
                Ok(false)
            }
            Err(error) => {
                tracing::error!(session.id = %self.id, error.code = %error.code, %error, "a turn could not be driven");
                feed.cut(error.clone());
                Err(error)
            }
        }
    }
}
