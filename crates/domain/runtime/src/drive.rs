//! Drives one turn: performs what the machine asks for, tells it what happened, commits each step.
//!
//! Nothing a client can see leaves before the turn's acceptance is durable, no call with an effect starts before its
//! intent is, and the answer is shown only after its last step is.

mod asked;
mod budget;
mod hook;
mod late;
mod perform;
mod raise;
mod take;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use loom_agent::{Amounts, Effect, Event, EventKind, HookEntry, Outcome};
use loom_base::{CallId, ErrorCode, FailPoint, MessageId, NanoUsd, SessionId, Timestamp};
use loom_llm::{Completion, ContentBlock, Role};
use loom_memory::Recent;
use loom_store::{
    CallChange, CallStart, CutOff, EndNotes, Journal, MessageRecord, NewTurn, SessionRecord, TurnEnd,
};
use loom_tools::EffectClass;

use crate::accept::Prepared;
use crate::actor::Asked;
use crate::command::Inbox;
use crate::core::Core;
use crate::ending::outcome_name;
use crate::lease::Lease;
use crate::model_call::FailedCall;
use crate::queue::Queue;
use crate::step::{Draughted, Steps};
use crate::story::Story;
use crate::tool_call::Ended;
use crate::{ContextUse, Error, Running, hooks, notes};
use budget::NextCall;
pub(crate) use budget::{Lost, TurnBudgets};

/// What came back for an effect.
enum Reply {
    Model { effect: u32, result: Result<Completion, FailedCall>, took: Duration },
    Tool { effect: u32, call: CallId, ended: Ended },
    Hook { effect: u32, entry: HookEntry, ended: Ended },
    Timer { effect: u32 },
    ApprovalExpired { effect: u32 },
    OverBudget { effect: u32, short: budget::Short },
    Compacted { effect: u32, freed: bool },
}

/// A running turn.
pub(crate) struct Drive<'a> {
    core: &'a Arc<Core>,
    record: &'a SessionRecord,
    lease: Lease,
    session: SessionId,
    recent: &'a mut Recent,
    context_start: u64,
    prepared: Prepared,
    accepted: NewTurn,
    story: Story,
    steps: Steps,
    running: Running,
    signals: Signals<'a>,
    replies: FuturesUnordered<BoxFuture<'static, Reply>>,
    /// Steps that are not known to be durable yet, in order: each with the events there are once it is.
    undurable: FuturesOrdered<BoxFuture<'static, Result<u32, Error>>>,
    stops: BTreeMap<u32, Stop>,
    context: ContextUse,
    budgets: Box<TurnBudgets>,
    /// The model call that the step being put together asks for.
    next_call: Option<NextCall>,
    /// The place it takes among the turns that are taken up after a start.
    place: Option<OwnedSemaphorePermit>,
}

/// Stops what was asked for, at the latest when nobody waits for it any more.
#[derive(Default)]
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What reaches a turn from outside.
pub(crate) struct Signals<'a> {
    /// Fires when the turn is to be cancelled.
    pub(crate) cancel: CancellationToken,
    /// Fires when the session is to do nothing more.
    pub(crate) stop: CancellationToken,
    /// Fires when the server is about to stop: a turn that only waits for people is then left as it is.
    pub(crate) closing: CancellationToken,
    /// Fires when the turn is to be left as it is, for whoever takes it up again.
    pub(crate) park: CancellationToken,
    pub(crate) inbox: &'a mut Inbox,
    /// Messages that come while it runs.
    pub(crate) mail: &'a mut mpsc::Receiver<Asked>,
    /// Where they wait.
    pub(crate) queue: &'a mut Queue,
}

/// How a drive ended.
pub(crate) enum Driven {
    /// The turn is over, durably.
    Over(Box<Over>),
    /// The turn is not over, and its journal says how far it is.
    Parked,
}

/// A turn that is over.
pub(crate) struct Over {
    pub(crate) story: Story,
    pub(crate) accepted: NewTurn,
    pub(crate) end: TurnEnd,
    pub(crate) agent_name: String,
    pub(crate) next_message: u64,
    /// What the session has used, with this turn.
    pub(crate) session_used: Amounts,
}

/// What a drive works on.
pub(crate) struct Start<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) record: &'a SessionRecord,
    pub(crate) lease: Lease,
    pub(crate) recent: &'a mut Recent,
    pub(crate) steps: Steps,
    pub(crate) prepared: Prepared,
    pub(crate) accepted: NewTurn,
    pub(crate) budgets: Box<TurnBudgets>,
    pub(crate) running: Running,
    pub(crate) signals: Signals<'a>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(start: Start<'a>) -> Self {
        let Start { core, record, lease, recent, steps, prepared, accepted, budgets, running, signals } =
            start;
        let feed = Arc::clone(&running.feed);
        let most_result_bytes = prepared.model.most_result_bytes();
        Self {
            core,
            record,
            lease,
            session: running.session.clone(),
            recent,
            context_start: record.context_start,
            story: Story::new(running.turn, accepted.config.clone(), feed, most_result_bytes),
            prepared,
            accepted,
            steps,
            running,
            signals,
            replies: FuturesUnordered::new(),
            undurable: FuturesOrdered::new(),
            stops: BTreeMap::new(),
            context: ContextUse::default(),
            budgets,
            next_call: None,
            place: None,
        }
    }

    /// Accepts the turn: starts its first model call while its acceptance commits, and calls `accepted` once that is
    /// durable. Then runs it to its end.
    pub(crate) async fn run(mut self, query: &str, accepted: impl FnOnce(Running)) -> Result<Driven, Error> {
        let held_back = self.begin(query).await?;
        let mut early = None;
        while !self.undurable.is_empty() {
            tokio::select! {
                biased;
                Some(durable) = self.undurable.next() => self.durable(durable?),
                Some(reply) = self.replies.next(), if early.is_none() => early = Some(reply),
            }
        }
        FailPoint::AcceptAfterCommit.pass();
        accepted(self.running.clone());
        self.perform_held_back(held_back)?;
        if let Some(reply) = early {
            self.take(reply).await?;
        }
        self.run_to_the_end().await
    }

    /// Takes up a turn that a stop cut off: lives it again as its journal tells it, asks anew for what was asked and not
    /// answered, and runs it to its end. A call that may have taken effect is not among that: its outcome is unknown.
    pub(crate) async fn resume(
        mut self,
        journal: &Journal,
        messages: Vec<MessageRecord>,
        lost: Option<Lost>,
    ) -> Result<Driven, Error> {
        self.story.replay(journal, messages, &self.prepared.built.tools)?;
        let at = self.core.clock.now();
        let mut unknown = Vec::new();
        let mut again = Vec::new();
        let outstanding = self.story.turn.outstanding_effects(at);
        if let Some(lost) = lost {
            self.lose_calls(&outstanding, lost, at)?;
        }
        for effect in outstanding {
            match effect {
                // Time that ran out meanwhile comes before anything that it would have prevented.
                Effect::StartTimer { effect, delay } if delay.is_zero() => {
                    self.apply(EventKind::TimerFired { effect: effect.number }).await?;
                    if self.story.turn.outcome().is_some() {
                        return self.run_to_the_end().await;
                    }
                }
                Effect::RunTool { effect, ref call } if self.class_of(call) == EffectClass::Unsafe => {
                    unknown.push(EventKind::ToolUnknown { effect: effect.number });
                }
                Effect::RunHook { effect, hook, .. } if hook.class == EffectClass::Unsafe => {
                    unknown.push(hooks::cut_off(effect.number, &hook));
                }
                effect => again.push(effect),
            }
        }
        self.lease.ensure_held()?;
        self.ready_call(&again).await?;
        if self.budgets.cut_off() == CutOff::Settled && self.steps.has_events() {
            // The row is to say what was used and what is held now before another call may use it.
            self.commit(at);
            self.wait_until_durable().await?;
        }
        for effect in again {
            self.perform(effect, at);
        }
        for event in unknown {
            self.apply(event).await?;
        }
        self.run_to_the_end().await
    }

    async fn run_to_the_end(mut self) -> Result<Driven, Error> {
        let lease = self.lease.clone();
        while self.story.turn.outcome().is_none() {
            let waits_for_people = self.story.turn.waits_for_people();
            if waits_for_people {
                self.place = None;
            }
            tokio::select! {
                biased;
                // Another may go on with it: what is left here ends without a word in the journal.
                error = lease.lost() => return Err(error),
                () = self.signals.cancel.cancelled() => self.apply(EventKind::CancelRequested).await?,
                () = self.signals.stop.cancelled() => self.apply(EventKind::CancelRequested).await?,
                () = self.signals.closing.cancelled(), if waits_for_people => {
                    self.park().await?;
                    return Ok(Driven::Parked);
                }
                () = self.signals.park.cancelled() => {
                    self.park().await?;
                    return Ok(Driven::Parked);
                }
                Some(durable) = self.undurable.next() => self.durable(durable?),
                Some(command) = self.signals.inbox.recv() => self.obey(command).await?,
                Some(asked) = self.signals.mail.recv() => self.signals.queue.add(self.core, self.record, asked),
                (waiting, why) = self.signals.queue.unwanted() => self.give_up(waiting, why, |_| {}),
                Some(reply) = self.replies.next() => self.take(reply).await?,
            }
        }
        if late::any_unknown(&self.story.turn) {
            let (turns, clock) = (Arc::clone(&self.core.stores.turns), Arc::clone(&self.core.clock));
            self.core.spawn(late::settle(turns, clock, self.running.turn, self.replies));
        }
        let end = self
            .steps
            .ended()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "a turn that is over has no end"))?;
        Ok(Driven::Over(Box::new(Over {
            next_message: self.steps.next_message(),
            session_used: self.budgets.session_used(self.story.turn.spent()),
            agent_name: self.running.agent_name,
            story: self.story,
            accepted: self.accepted,
            end,
        })))
    }

    /// Stops what can be asked for again, and waits until what is queued is durable. That calls were lost before this life is
    /// journaled now: its own is found out by who takes the turn up.
    async fn park(&mut self) -> Result<(), Error> {
        self.stops.clear();
        if self.steps.has_events() {
            self.commit(self.core.clock.now());
        }
        self.wait_until_durable().await
    }

    /// Begins the turn; returns what must not start before its acceptance is durable.
    async fn begin(&mut self, query: &str) -> Result<Vec<Effect>, Error> {
        let at = self.prepared.at;
        let message = MessageId::new(&*self.core.ids);
        let content = vec![ContentBlock::text(query)];
        let beside = self.prepared.beside.clone();
        let user = Draughted { role: Role::User, content, beside, cost: NanoUsd::ZERO };
        self.story.current.push(self.steps.message(message, at, user));
        let event = Event::new(at, EventKind::UserMessage { message });
        let effects = self.apply_to_machine(&event)?;
        if let Some(pattern) = &self.accepted.pattern {
            self.story.feed.push(at, crate::Progress::PatternSelected(pattern.clone()));
        }
        self.story.show(&event.kind, &effects, at);
        self.ready_call(&effects).await?;
        FailPoint::AcceptBeforeCommit.pass();
        self.commit(at);
        let (held_back, now): (Vec<_>, _) = effects.into_iter().partition(|effect| self.needs_intent(effect));
        for effect in now {
            self.perform(effect, at);
        }
        Ok(held_back)
    }

    /// Applies an event, commits the step, performs what it asks for. Calls that need a durable intent start only once
    /// the step is durable.
    async fn apply(&mut self, kind: EventKind) -> Result<(), Error> {
        let at = self.core.clock.now();
        if let EventKind::ToolUnknown { effect } = kind {
            self.note_unknown(effect, at);
        }
        let event = Event::new(at, kind);
        let effects = self.apply_to_machine(&event)?;
        for effect in &effects {
            self.record(effect, at);
        }
        self.story.show(&event.kind, &effects, at);
        let over = self.story.turn.outcome().is_some();
        if over {
            self.settle_cancelled_model_call()?;
            self.end(at);
            FailPoint::FinishBeforeCommit.pass();
        }
        let needs_intent = effects.iter().any(|effect| self.needs_intent(effect));
        self.ready_call(&effects).await?;
        self.commit(at);
        // A step that is not waited for is still ordered before the later ones, and fails them when it fails.
        if needs_intent || over {
            self.core.metrics.commit_waits.add([], 1);
            self.wait_until_durable().await?;
            let point = if over { FailPoint::FinishAfterCommit } else { FailPoint::IntentAfterCommit };
            point.pass();
        }
        if over {
            self.budgets.end(self.core, &self.accepted.agent, self.story.turn.spent());
        }
        if needs_intent {
            self.lease.ensure_held()?;
        }
        for effect in effects {
            self.perform(effect, at);
        }
        Ok(())
    }

    fn apply_to_machine(&mut self, event: &Event) -> Result<Vec<Effect>, Error> {
        let before = Amounts::from(self.story.turn.spent());
        let effects = self.story.apply(event)?;
        let used = Amounts::from(self.story.turn.spent()).minus(before);
        self.budgets.settle(&event.kind, used, self.story.turn.state());
        self.steps.event(event.clone());
        Ok(effects)
    }

    /// Queues the step.
    fn commit(&mut self, at: Timestamp) {
        let over = self.story.turn.outcome().is_some();
        let reserved = self.budgets.reserved().filter(|_| !over);
        let receipt = self.steps.commit(&*self.core.ids, *self.story.turn.spent(), reserved, at);
        let events = self.steps.events();
        self.budgets.queued(events);
        self.undurable.push_back(Box::pin(async move {
            receipt.await?;
            Ok(events)
        }));
    }

    async fn wait_until_durable(&mut self) -> Result<(), Error> {
        while let Some(durable) = self.undurable.next().await {
            self.durable(durable?);
        }
        Ok(())
    }

    fn needs_intent(&self, effect: &Effect) -> bool {
        match effect {
            Effect::RunTool { call, .. } => self.class_of(call).needs_intent(),
            Effect::RunHook { hook, .. } => hook.class.needs_intent(),
            _ => false,
        }
    }

    fn class_of(&self, call: &CallId) -> EffectClass {
        let work = self.story.answer.as_ref().and_then(|answer| answer.work(call));
        work.map_or(EffectClass::Unsafe, |work| work.class)
    }

    /// Puts what an effect means for the stored calls and messages into the step.
    fn record(&mut self, effect: &Effect, at: Timestamp) {
        match effect {
            Effect::RunTool { effect, call } | Effect::AskUser { effect, call } => {
                self.story.start(call, at);
                let start = CallStart { effect: effect.number, at };
                self.change(call, |message, call| CallChange::Started { message, call, start });
            }
            Effect::RequestApproval { effect, call, expires_at } => {
                let (effect, expires_at) = (effect.number, *expires_at);
                self.change(call, |message, call| CallChange::ApprovalAsked {
                    message,
                    call,
                    effect,
                    expires_at,
                });
            }
            Effect::Settled { call } => self.settle(call, at),
            _ => {}
        }
        for (content, beside) in self.story.messages_before(effect) {
            let message = MessageId::new(&*self.core.ids);
            let is_note = content.is_empty();
            let draughted = Draughted { role: Role::User, content, beside, cost: NanoUsd::ZERO };
            let kept = self.steps.message(message, at, draughted);
            notes::keep(&mut self.story.current, kept, is_note);
        }
    }

    fn change(&mut self, call: &CallId, change: impl FnOnce(MessageId, CallId) -> CallChange) {
        if let Some(answer) = &self.story.answer {
            self.steps.call(change(answer.message, call.clone()));
        }
    }

    fn settle(&mut self, call: &CallId, at: Timestamp) {
        let Some(outcome) = self.story.outcome_of(call) else { return };
        let Some(answer) = &mut self.story.answer else { return };
        let Some(settled) = answer.settle(call, outcome, at) else { return };
        let tool = answer.work(call).map_or_else(|| "".into(), |work| Arc::clone(&work.name));
        self.core.metrics.tool_calls.add([&tool, outcome_name(outcome)], 1);
        self.core.metrics.tool_seconds.observe([&tool], settled.duration);
        self.story.settled(call, outcome, &settled, at);
        let (result, facts) = (settled.stored, settled.facts);
        self.change(call, |message, call| CallChange::Settled { message, call, outcome, result, facts, at });
    }

    /// Puts the end into the step.
    fn end(&mut self, at: Timestamp) {
        let Some(outcome) = self.story.turn.outcome().cloned() else { return };
        let seen = &self.story.seen;
        let first_text = self.story.feed.first_text_at().map(|first| first.since(self.accepted.accepted_at));
        let notes = EndNotes {
            model: seen.model.clone(),
            first_text,
            context_used: self.context.used,
            context_room: self.context.room,
            messages_dropped: self.context.messages_dropped,
            priced: self.prepared.model.info.prices.is_some(),
            tools: self.prepared.built.definitions.iter().map(|tool| Arc::clone(&tool.name)).collect(),
            partial_text: seen.partial_text.clone().filter(|_| !matches!(outcome, Outcome::Finished { .. })),
        };
        self.steps.end(TurnEnd { outcome, ended_at: at, notes });
    }

    /// A model call that the end of the turn cut off stops at once and says what it used: that goes into the ledger
    /// with the last step.
    fn settle_cancelled_model_call(&mut self) -> Result<(), Error> {
        self.stops.clear();
        let mut of_tools = Vec::new();
        // Polled once: whoever listens to its stop is ready, and the rest is not waited for.
        while let Some(Some(reply)) = self.replies.next().now_or_never() {
            match reply {
                Reply::Model { effect, result: Err(failed), took } => {
                    let event = self.take_failure(effect, failed, took);
                    let at = self.core.clock.now();
                    self.apply_to_machine(&Event::new(at, event))?;
                }
                Reply::Tool { .. } => of_tools.push(reply),
                _ => {}
            }
        }
        for reply in of_tools {
            self.replies.push(Box::pin(std::future::ready(reply)));
        }
        Ok(())
    }
}
